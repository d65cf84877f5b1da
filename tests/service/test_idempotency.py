"""Idempotency-Key: a request that is sent again makes no second file."""

import base64
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.in_server import partial_uploads
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server, form_end, form_part
from tests.support.slow_uploads import ended, slow_put, uploads
from tests.support.stored_file_checks import files, fsck
from tests.support.tus_client import Client, metadata
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


def put(server: Server, data: bytes, key: str, name: str = "film.mp4", **more: Any) -> Answer:
    return server.put(name, data, {"Idempotency-Key": key}, **more)


def test_a_request_sent_again_is_answered_with_the_same_file(shared_server: Server, film: Film) -> None:
    data = film()
    first, again = (put(shared_server, data, "again") for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    assert (first.headers["Idempotency-Replayed"], again.headers["Idempotency-Replayed"]) == (None, "true")


def test_a_form_sent_again_is_answered_with_the_same_file(shared_server: Server, film: Film) -> None:
    form = form_part("file", film(), "form.mp4") + form_end()
    first, again = (shared_server.post_form(form, headers={"Idempotency-Key": "a form"}) for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_replay_whose_bytes_are_lost_says_so(server: Server, film: Film) -> None:
    data, form = film(), form_part("file", film(), "form.mp4") + form_end()
    tus, headers = Client(server), {"Idempotency-Key": "lost", **metadata(filename="tus.mp4")}
    requests = [
        partial(put, server, data, "lost"),
        partial(server.post_form, form, headers={"Idempotency-Key": "lost"}),
        partial(tus.create, len(data), headers),
    ]
    tus.patch(tus.new(len(data), headers), 0, data)
    assert [request().status for request in requests] == [201] * 3
    for path in server.stored_bytes():
        path.unlink()
    answers = [request() for request in requests]
    assert [(answer.status, answer.code) for answer in answers] == [(409, "content_lost")] * 3
    assert put(server, data, "another").status == 201  # of the same bytes: as the answer advises
    assert [request().status for request in requests] == [201, 409, 201]


@pytest.mark.local_disk
def test_a_replay_is_put_off_while_the_disk_cannot_be_seen(server: Server, film: Film) -> None:
    data = film()
    assert put(server, data, "unseen").status == 201
    server.media.rename(server.home / "unmounted")
    server.media.mkdir()
    answer = put(server, data, "unseen")
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_replay_does_not_wait_for_the_body(shared_server: Server, film: Film) -> None:
    data = film()
    file = shared_server.put("slow.mp4", data, {"Idempotency-Key": "no body"}).json()
    with slow_put(shared_server, data, 0, Idempotency_Key="no body") as wire:  # not one byte of it
        wire.settimeout(5)
        assert ended(wire) == (201, file)


def test_a_key_used_for_another_request_is_refused(shared_server: Server, film: Film) -> None:
    data = film()
    file = put(shared_server, data, "used").json()
    digest = base64.b64encode(bytes.fromhex(file["sha256"])).decode()
    others = [
        put(shared_server, data, "used", name="other.mp4"),
        put(shared_server, data + b"longer", "used"),
        put(shared_server, iter([data]), "used", chunked=True),  # type: ignore[arg-type]
        shared_server.put("film.mp4", data, {"Idempotency-Key": "used", "Content-Digest": f"sha-256=:{digest}:"}),
    ]
    assert [(answer.status, answer.code) for answer in others] == [(422, "key_reused")] * 4


def test_a_key_is_its_owners_and_its_routes(shared_server: Server, film: Film) -> None:
    data = film()
    alices, bobs = (put(shared_server, data, "mine", user=user).json() for user in ("alice", "bob"))
    form = form_part("file", data, "film.mp4") + form_end()
    by_form = shared_server.post_form(form, headers={"Idempotency-Key": "mine"}).json()
    assert len({alices["id"], bobs["id"], by_form["id"]}) == 3


def test_a_request_that_is_still_on_its_way_is_in_flight(shared_server: Server, film: Film) -> None:
    data = film()
    with slow_put(shared_server, data, 100_000, Idempotency_Key="flight") as wire:
        wait_until(lambda: uploads(shared_server, "flight"))
        second = shared_server.put("slow.mp4", data, {"Idempotency-Key": "flight"})
        assert (second.status, second.code) == (409, "in_flight")
        assert int(second.headers["Retry-After"]) > 0
        wire.sendall(data[100_000:])
        status, file = ended(wire)
    assert status == 201
    third = shared_server.put("slow.mp4", data, {"Idempotency-Key": "flight"})
    assert (third.json()["id"], third.headers["Idempotency-Replayed"]) == (file["id"], "true")


def test_of_many_sent_at_once_with_one_key_one_makes_a_file(shared_server: Server, film: Film) -> None:
    data, answers = film(), []
    clients = [threading.Thread(target=lambda: answers.append(put(shared_server, data, "crowd"))) for _ in range(24)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status == 201}) == 1


def test_a_failure_frees_the_key(shared_server: Server, film: Film) -> None:
    assert put(shared_server, b"no film" * 2000, "failed").code == "unsupported_media"
    data = film()
    with slow_put(shared_server, data, 100_000, Idempotency_Key="failed"):
        wait_until(lambda: uploads(shared_server, "failed")[0]["state"] == "receiving")
    wait_until(lambda: uploads(shared_server, "failed")[0]["state"] == "failed")
    answer = put(shared_server, data, "failed")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)


def test_deleting_the_file_frees_the_key(shared_server: Server, film: Film) -> None:
    data = film()
    file = put(shared_server, data, "deleted").json()
    assert shared_server.request("DELETE", f"/api/v1/files/{file['id']}/").status == 204
    answer = put(shared_server, data, "deleted")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)
    assert answer.json()["id"] != file["id"]


@pytest.mark.parametrize("swept", [False, True])
def test_a_key_is_kept_for_a_day_and_no_longer(server: Server, film: Film, swept: bool) -> None:
    data = film()
    file = put(server, data, "day").json()
    server.call(partial_uploads.shift_end_of_uploads, 23)
    if swept:
        server.manage("housekeeping", "--now")
    assert put(server, data, "day").json()["id"] == file["id"]
    server.call(partial_uploads.shift_end_of_uploads, 2)
    if swept:
        server.manage("housekeeping", "--now")
    answer = put(server, data, "day")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)
    assert answer.json()["id"] != file["id"]


def test_the_key_of_a_holder_that_died_is_taken_over(server: Server, film: Film) -> None:
    data = film()
    with slow_put(server, data, 100_000, Idempotency_Key="died"):
        wait_until(lambda: uploads(server, "died"))
        server.kill()
    server.start()
    assert put(server, data, "died", name="slow.mp4").code == "in_flight"  # nobody can know yet
    server.call(partial_uploads.shift_heartbeats, 1 / 60)
    answer = put(server, data, "died", name="slow.mp4")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, None)
    states = sorted(upload["state"] for upload in uploads(server, "died"))
    assert states == ["complete", "failed"]
    assert fsck(server, "--deep")[0] == 0


def test_a_holder_that_was_given_up_and_yet_comes_to_its_end_makes_no_second_file(server: Server, film: Film) -> None:
    data = film()
    with slow_put(server, data, 100_000, Idempotency_Key="late") as wire:
        wait_until(lambda: uploads(server, "late"))
        server.call(partial_uploads.give_up_receiving)
        answer = put(server, data, "late", name="slow.mp4")
        assert answer.status == 201
        wire.sendall(data[100_000:])
        status, problem = ended(wire)
    assert (status, problem["code"]) == (503, "storage_unavailable")
    assert list(files(server)) == ["slow.mp4"]
    assert len(server.stored_bytes()) == 1
    assert fsck(server, "--deep")[0] == 0


def test_a_clock_that_jumps_ends_no_upload_that_goes_on(server: Server, film: Film) -> None:
    data = film()
    with slow_put(server, data, 100_000, Idempotency_Key="jump") as wire:
        wait_until(lambda: uploads(server, "jump"))
        assert server.call(partial_uploads.fail_stalled_after, hours=1) == 0
        wire.sendall(data[100_000:])
        assert ended(wire)[0] == 201


def test_an_idempotency_key_longer_than_a_row_can_hold_is_refused(shared_server: Server, film: Film) -> None:
    answer = put(shared_server, film(), "k" * 256)
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert put(shared_server, film(), "k" * 255).status == 201
