"""Direct uploads: bytes go from the client straight to a real S3 server, and a real worker checks them."""

import contextlib
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.support.clamd import VIRUS, clamd_server
from tests.support.direct_client import DIRECT, DirectClient, Sending, preflight, put
from tests.support.in_server import arrivals, direct_rows
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, query
from tests.support.waiting import wait_until
from uploads.maintenance import housekeeping
from uploads.transfers.direct import cleanup
from uploads.transfers.resumable import recovery

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef

SIZE = 20_000_000  # three parts
SOON = 90
Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore
) -> Iterator[Server]:
    """Without a worker: each test says when content is checked."""
    with running(
        template, tmp_path_factory, store=object_store, DIRECT_UPLOADS="on", LEASE="3s", MAX_FILE_SIZE="64MiB",
        QUOTA="600MiB",
    ) as found:  # fmt: skip
        yield found


@pytest.fixture
def client(server: Server) -> DirectClient:
    return DirectClient(server)


@contextlib.contextmanager
def checked_by_a_worker(server: Server) -> Iterator[None]:
    worker = server.start_worker("bulk")
    try:
        yield
    finally:
        server.helpers.remove(worker)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def wait_for_end(sending: Sending) -> dict[str, Any]:
    def says() -> object:
        return sending.look(), sending.client.server.log[-3000:]

    wait_until(lambda: sending.look()["state"] != "receiving", SOON, says)
    return sending.look()


def bucket_of(server: Server) -> str:
    return server.settings["STORAGE"].split("/")[2]


def objects(server: Server, store: ObjectStore) -> list[str]:
    """The keys of all content in the bucket."""
    found = store.client().list_objects_v2(Bucket=bucket_of(server), Prefix="media/content/").get("Contents", [])
    return [item["Key"].rpartition("/")[2] for item in found]


def open_writes(server: Server, store: ObjectStore) -> list[str]:
    found = store.client().list_multipart_uploads(Bucket=bucket_of(server)).get("Uploads", [])
    return [item["Key"].rpartition("/")[2] for item in found]


def wait_until_nothing_is_left(sending: Sending, store: ObjectStore) -> None:
    """No part, no object and no row of the open write."""
    server = sending.client.server
    wait_until(lambda: sending.pk not in [*objects(server, store), *open_writes(server, store), *rows(server)], SOON)


def named(sending: Sending) -> Any:
    """The names of its open write, for another client of the store."""
    server = sending.client.server
    found = query(server, "SELECT upload_id, write_id FROM uploads_directupload")
    [write_id] = [write_id for pk, write_id in found if str(UUID(str(pk))) == sending.pk]
    return {"Bucket": bucket_of(server), "Key": f"media/content/{sending.pk}", "UploadId": write_id}


def rows(server: Server) -> list[str]:
    return [str(UUID(str(pk))) for (pk,) in query(server, "SELECT upload_id FROM uploads_directupload")]


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def test_parts_that_were_sent_at_once_become_a_file_in_place(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    content = film(SIZE)
    sending = client.begin(content)
    assert (sending.made["parts"], sending.made["part_size"], sending.made["sent"]) == (3, 8 * 1024**2, False)
    sending.send_parts([3, 1])
    assert sending.arrived() == [1, 3]
    sending.send_parts([2])
    assert sending.look()["message"].startswith("Sent to the store: ")
    answer = sending.complete(sending.etags)
    assert (answer.status, answer.json()["sent"]) == (202, True)
    assert answer.json()["message"] == "Waiting to be checked: 20.0 MB"
    assert server.get("/api/v1/files/?q=film", user="alice").json()["results"] == []
    with checked_by_a_worker(server):
        found = wait_for_end(sending)
        wait_until(lambda: rows(server) == [])
    assert (found["state"], found["message"]) == ("complete", "Complete: 20.0 MB")
    file = server.get(f"/api/v1/files/{found['file']}/", user="alice").json()
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert server.get(f"/api/v1/files/{file['id']}/content", user="alice").body == content
    assert sending.pk in objects(server, object_store)  # no copy: the object that the parts became
    assert open_writes(server, object_store) == []
    # Who asks again, as the answer was lost, learns what became of it.
    assert sending.complete().json()["file"] == file["id"]


def test_the_store_refuses_a_part_of_another_length_and_an_address_past_its_time(
    client: DirectClient, film: Film
) -> None:
    sending = client.begin(film(SIZE))
    for body in (sending.part(1)[:-1], sending.part(1) + b"x", b""):
        assert put(sending.address(1), body)[0] == 403
    assert sending.arrived() == []
    assert put(sending.address(3).replace("partNumber=3", "partNumber=1"), sending.part(3))[0] == 403
    sending.end()


def test_missing_and_replaced_parts_are_named_until_they_are_sent(
    client: DirectClient, server: Server, film: Film
) -> None:
    content = film(SIZE)
    sending = client.begin(content)
    sending.send_parts([2])
    answer = sending.complete()
    assert (refusal(answer), answer.json()["parts"]) == ((409, "parts_mismatch"), [1, 3])
    assert answer.json()["detail"].startswith("2 of 3 parts are missing")
    sending.send_parts([1, 3])
    answer = sending.complete({**sending.etags, 2: "0" * 32})
    assert (refusal(answer), answer.json()["parts"]) == ((409, "parts_mismatch"), [2])
    # Sent again with other bytes: the ETag that the client names decides which ones count.
    first, damaged = sending.etags[3], bytes(len(sending.part(3)))
    assert put(sending.address(3), damaged)[0] == 200
    assert sending.complete({3: first}).status == 202
    with checked_by_a_worker(server):
        found = wait_for_end(sending)
    file = server.get(f"/api/v1/files/{found['file']}/", user="alice").json()
    assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_presets_that_it_names_are_to_be_run_and_an_unknown_one_is_refused_before_the_store_is_asked(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    preset, before = server.call(arrivals.save_preset, "alice", "Sent directly"), open_writes(server, object_store)
    answer = client.create(SIZE, query="?presets=Sent+directly,Unknown")
    assert (refusal(answer), "“Unknown”" in answer.json()["detail"]) == ((400, "invalid_params"), True)
    assert open_writes(server, object_store) == before
    sending = client.send(film(), "for presets.mp4", "?presets=Sent+directly")
    with checked_by_a_worker(server):
        assert wait_for_end(sending)["state"] == "complete"
    assert server.call(arrivals.to_be_run) == {"for presets.mp4": [preset]}


@pytest.mark.parametrize("who", ["bob", "operator"])
def test_only_its_owner_can_go_on_with_an_upload(client: DirectClient, server: Server, film: Film, who: str) -> None:
    sending = client.send(film(SIZE))
    sending.client = DirectClient(server, who)
    expected = {"bob": (404, "not_found"), "operator": (403, "forbidden")}[who]
    assert refusal(sending.sign(1)) == refusal(sending.complete()) == expected
    # Staff may end uploads of others.
    assert sending.end().status == {"bob": 404, "operator": 204}[who]
    DirectClient(server).ask("DELETE", sending.path)


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"name": "film.mp4", "size": 0}, 400, "empty_file"),
        ({"name": "film.mp4", "size": -1}, 400, "invalid_params"),
        ({"name": "film.mp4"}, 400, "invalid_params"),
        ({"name": "..", "size": SIZE}, 400, "invalid_name"),
        ({"name": "film.mp4", "size": 65 * 1024**2}, 413, "too_large"),
        ([], 400, "invalid_params"),
    ],
)
def test_what_may_not_be_sent_is_refused_before_the_store_is_asked(
    client: DirectClient, server: Server, object_store: ObjectStore, order: object, status: int, code: str
) -> None:
    before = open_writes(server, object_store)
    assert refusal(client.ask("POST", DIRECT, order)) == (status, code)
    assert open_writes(server, object_store) == before


def test_the_quota_holds_from_the_first_request_on(client: DirectClient, server: Server) -> None:
    bob = DirectClient(server, "bob")
    made = []
    while (answer := bob.create(60 * 1024**2)).status == 201:
        made.append(answer.json()["id"])
    assert (refusal(answer), len(made)) == ((413, "quota_exceeded"), 10)
    assert {bob.ask("DELETE", f"{DIRECT}{pk}/").status for pk in made} == {204}
    assert bob.server.get("/api/v1/me/", user="bob").json()["quota"]["reserved"] == 0


@pytest.mark.parametrize("numbers", [[], [0], [4], [1, 4], ["x"], list(range(1, 102)), 1])
def test_addresses_are_given_for_parts_that_the_file_has(client: DirectClient, film: Film, numbers: object) -> None:
    sending = client.begin(film(SIZE))
    answer = client.ask("POST", f"{sending.path}parts/", {"numbers": numbers})
    assert refusal(answer) == (400, "invalid_params")
    sending.end()


def test_the_same_key_creates_one_upload(client: DirectClient, film: Film) -> None:
    first = client.create(SIZE, Idempotency_Key="a direct one")
    again = client.create(SIZE, Idempotency_Key="a direct one")
    assert (first.json()["id"], again.headers["Idempotency-Replayed"]) == (again.json()["id"], "true")
    assert refusal(client.create(SIZE + 1, Idempotency_Key="a direct one")) == (422, "key_reused")
    assert client.ask("DELETE", f"{DIRECT}{first.json()['id']}/").status == 204


def test_content_that_is_no_media_fails_with_its_reason_and_leaves_nothing(
    client: DirectClient, server: Server, object_store: ObjectStore
) -> None:
    sending = client.send(b"Not a film.\n" * 1_000_000)
    with checked_by_a_worker(server):
        found = wait_for_end(sending)
        wait_until_nothing_is_left(sending, object_store)
    assert (found["state"], found["error"]["code"]) == ("failed", "unsupported_media")
    assert found["message"].startswith("This is not a known media type, by its content.")
    assert refusal(sending.sign(1)) == refusal(sending.complete()) == (410, "gone")
    assert server.get("/api/v1/me/", user="alice").json()["quota"]["reserved"] == 0


def test_infected_content_is_put_into_quarantine(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film, tmp_path: Path
) -> None:
    content = film(1_000_000)
    content = content[:500_000] + VIRUS + content[500_000 + len(VIRUS) :]
    sending = client.send(content)
    before = server.settings
    with clamd_server(tmp_path) as clamd:
        server.settings = before | {"CLAMD": clamd.socket, "CLAMD_ACTION": "quarantine"}
        with checked_by_a_worker(server):
            server.settings = before
            found = wait_for_end(sending)
            wait_until_nothing_is_left(sending, object_store)
    assert (found["state"], found["error"]["code"]) == ("failed", "infected")
    [kept] = object_store.client().list_objects_v2(Bucket=bucket_of(server), Prefix="media/quarantine/")["Contents"]
    assert kept["Key"].endswith(f".infected.{sending.pk}")
    assert kept["Size"] == len(content)


def test_equal_bytes_are_stored_once(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    content = film(SIZE)
    first, second = client.send(content), client.send(content, "again.mp4")
    with checked_by_a_worker(server):
        assert [wait_for_end(sending)["state"] for sending in (first, second)] == ["complete", "complete"]
        wait_until_nothing_is_left(second, object_store)
    assert first.pk in objects(server, object_store)
    file = server.get(f"/api/v1/files/{second.look()['file']}/content", user="alice")
    assert file.body == content


@pytest.mark.parametrize("when", ["begun", "half", "sent"])
def test_an_upload_that_its_client_ends_leaves_nothing(
    client: DirectClient, object_store: ObjectStore, film: Film, when: str
) -> None:
    sending = client.send(film(SIZE)) if when == "sent" else client.begin(film(SIZE))
    if when == "half":
        sending.send_parts([1, 2])
    address = None if when == "sent" else sending.address(1)
    assert sending.end().status == 204
    wait_until_nothing_is_left(sending, object_store)
    if address is not None:  # a part that comes late
        assert put(address, sending.part(1))[0] == 404
    assert sending.look()["error"]["code"] == "terminated"
    assert sending.end().status == 204


@pytest.mark.parametrize("is_sent", [True, False])
def test_chores_delete_what_a_crash_leaves_of_an_upload_that_has_ended(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film, is_sent: bool
) -> None:
    sending = client.send(film(SIZE)) if is_sent else client.begin(film(SIZE))
    if not is_sent:
        sending.send_parts([1, 2])
    server.call(direct_rows.fail, sending.pk)
    assert sending.pk in [*objects(server, object_store), *open_writes(server, object_store)]
    server.call(cleanup.close_ended)
    server.call(housekeeping.remove_bytes)
    wait_until_nothing_is_left(sending, object_store)


def test_an_upload_that_nobody_continues_expires_and_leaves_nothing(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    abandoned, continued = client.begin(film(SIZE)), client.begin(film(SIZE))
    abandoned.send_parts([1])
    address = continued.address(1)
    server.call(direct_rows.expire, [abandoned.pk])
    server.call(recovery.expire_uploads)
    assert (abandoned.look()["state"], abandoned.look()["offset"]) == ("receiving", 8 * 1024**2)
    server.call(direct_rows.expire, [abandoned.pk, continued.pk])
    continued.send_part(1, address)
    server.call(recovery.expire_uploads)
    assert (abandoned.look()["error"]["code"], abandoned.look()["state"]) == ("expired", "failed")
    assert refusal(abandoned.sign(1)) == refusal(abandoned.complete()) == (410, "gone")
    wait_until_nothing_is_left(abandoned, object_store)
    # Its client has asked for nothing, but a part has arrived.
    assert (continued.look()["state"], continued.look()["offset"]) == ("receiving", 8 * 1024**2)
    continued.end()


def test_what_was_assembled_before_a_crash_is_completed_by_the_next_request(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    sending = client.begin(film(SIZE))
    sending.send_parts(sending.numbers)
    etags = sorted(sending.etags.items())
    object_store.client().complete_multipart_upload(
        **named(sending), MultipartUpload={"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in etags]}
    )
    assert sending.arrived() == [1, 2, 3]
    assert sending.complete().status == 202
    with checked_by_a_worker(server):
        assert wait_for_end(sending)["state"] == "complete"


def test_a_worker_may_be_done_before_the_request_that_completes_the_upload(
    client: DirectClient, server: Server, film: Film
) -> None:
    sending = client.begin(film(SIZE))
    sending.send_parts(sending.numbers)
    server.call(direct_rows.complete_with_a_quick_worker, sending.pk)
    assert sending.look()["state"] == "complete"


def test_parts_that_the_store_has_lost_cannot_be_completed(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    sending = client.begin(film(SIZE))
    sending.send_parts([1])
    object_store.client().abort_multipart_upload(**named(sending))
    answer = sending.complete()
    assert (refusal(answer), "Start it again" in answer.json()["detail"]) == ((410, "gone"), True)
    sending.end()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_another_worker_checks_what_a_worker_left_in_the_middle(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film, how: str
) -> None:
    content = film(60_000_000)
    sending = client.send(content)
    with Relay(object_store.ports["s3.port"]) as relay:
        relay.hold_answers_at(30_000_000)
        direct = server.variables
        server.variables = direct | {"AWS_ENDPOINT_URL_S3": relay.url}
        worker = server.start_worker("bulk")
        server.variables = direct
        wait_until(lambda: 0 < sending.look()["progress"] < 1, SOON, lambda: server.log)
        assert sending.look()["message"].startswith("Checking: ")
        if how == "kill":
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            worker.terminate()
            relay.go_on()
        worker.wait()
        server.helpers.remove(worker)
    with checked_by_a_worker(server):
        found = wait_for_end(sending)
    file = server.get(f"/api/v1/files/{found['file']}/", user="alice").json()
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert objects(server, object_store).count(sending.pk) == 1


def test_an_upload_that_is_ended_while_a_worker_checks_it_leaves_nothing(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    sending = client.send(film(60_000_000))
    with Relay(object_store.ports["s3.port"]) as relay:
        relay.hold_answers_at(30_000_000)
        direct = server.variables
        server.variables = direct | {"AWS_ENDPOINT_URL_S3": relay.url}
        with checked_by_a_worker(server):
            wait_until(lambda: 0 < sending.look()["progress"] < 1, SOON, lambda: server.log)
            assert sending.end().status == 204
            relay.go_on()
            server.variables = direct
            wait_until(lambda: "upload_check_run" in server.log, SOON)
    assert sending.look()["error"]["code"] == "terminated"
    wait_until_nothing_is_left(sending, object_store)
    assert query(server, "SELECT 1 FROM uploads_blob WHERE state = 'storing'") == []


def test_an_upload_whose_workers_are_lost_again_and_again_fails(
    client: DirectClient, server: Server, object_store: ObjectStore, film: Film
) -> None:
    sending = client.send(film(SIZE))
    server.call(direct_rows.lose_workers, sending.pk, 3)
    with checked_by_a_worker(server):
        found = wait_for_end(sending)
        wait_until_nothing_is_left(sending, object_store)
    assert found["error"]["code"] == "not_checked"
    assert "lost 3 times" in found["message"]


def test_pages_may_send_parts_when_the_administrator_has_allowed_it(
    server: Server, object_store: ObjectStore, client: DirectClient, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, bucket, store = "http://films.example", bucket_of(server), object_store.client()
    of_others: CORSRuleTypeDef = {"ID": "theirs", "AllowedOrigins": [site], "AllowedMethods": ["GET"]}
    store.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [of_others]})
    assert "name the sites" in server.manage("bucket_cors", check=False).stderr
    monkeypatch.setattr(server, "settings", server.settings | {"CORS_ORIGINS": site})
    assert f"do not let pages of {site} send" in server.manage("check", "--deploy").stderr
    server.manage("bucket_cors")
    assert "W005" not in server.manage("check", "--deploy").stderr
    rules = store.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert [rule["ID"] for rule in rules] == ["theirs", "millrace-direct-uploads"]
    sending = client.begin(film(SIZE))
    wait_until(
        lambda: preflight(sending.address(1), "http://others.example") == 403
    )  # the store reads its rules later
    assert preflight(sending.address(1), site) == 200
    sending.end()


def test_a_server_that_takes_no_direct_uploads_says_so(shared_server: Server) -> None:
    assert refusal(DirectClient(shared_server).create(SIZE)) == (409, "no_direct_uploads")
    assert shared_server.get("/api/v1/me/", user="alice").json()["uploads"]["direct"] is False
