"""Uploads and a real clamd: what it does not call clean does not become a file, however it fails."""

import http.client
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.clamd import MIB, SCAN_LIMIT, SIGNATURE, STREAM_LIMIT, VIRUS, ClamdServer, clamd_server
from tests.support.in_server import partial_uploads
from tests.support.killable_server import MortalServer
from tests.support.mail_server import mail_server
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, form_end, form_part
from tests.support.slow_uploads import ended, slow_put
from tests.support.stored_file_checks import content, files, fsck
from tests.support.stored_objects import StoredObject
from tests.support.tus_client import Client
from tests.support.waiting import wait_until
from uploads.content.virus_scan import Clamd, VirusScan
from uploads.errors import ScanUnavailable
from uploads.sinks.crash_points import Step

Film = Callable[..., bytes]
Send = Callable[[Server, bytes], Answer]


@pytest.fixture(scope="module")
def installed_clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamdServer]:
    with clamd_server(tmp_path_factory.mktemp("clamd")) as clamd:
        yield clamd


@pytest.fixture
def clamd(installed_clamd: ClamdServer) -> ClamdServer:
    """It runs, whatever the test before did to it."""
    installed_clamd.start()
    return installed_clamd


@pytest.fixture(scope="module")
def rejecting_server(
    installed_clamd: ClamdServer, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with running(template, tmp_path_factory, CLAMD=installed_clamd.socket, CLAMD_TIMEOUT="3s") as server:
        yield server


@pytest.fixture
def server(rejecting_server: Server, clamd: ClamdServer) -> Iterator[Server]:
    """Nothing that a test leaves behind is taken for what the next one did."""
    yield rejecting_server
    if not rejecting_server.is_running:
        rejecting_server.start()
    for file in files(rejecting_server).values():
        rejecting_server.request("DELETE", f"/api/v1/files/{file['id']}/")


@pytest.fixture(scope="module")
def quarantining_server(
    installed_clamd: ClamdServer, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MortalServer]:
    home = tmp_path_factory.mktemp("quarantining") / "home"
    settings = {"CLAMD": installed_clamd.address, "CLAMD_ACTION": "quarantine"}
    config = "tests.support.gunicorn_configs.killed_at_a_step"
    server = MortalServer(home, template.tokens, template.copy_to(home), settings, config=config)
    server.alone = True
    server.start()
    yield server
    server.end()


def send_form(server: Server, data: bytes) -> Answer:
    return server.post_form(form_part("file", data, "film.mp4") + form_end())


def send_put(server: Server, data: bytes) -> Answer:
    return server.put("film.mp4", data)


def send_tus(server: Server, data: bytes) -> Answer:
    """In two requests, the second of which has the last bytes."""
    client = Client(server)
    path = client.new(len(data))
    middle = len(data) // 2
    assert client.patch(path, 0, data[:middle]).status == 204
    return client.patch(path, middle, data[middle:])


EVERY_WAY = pytest.mark.parametrize("send", [send_form, send_put, send_tus])


def infected(film: Film, size: int = 300_000) -> bytes:
    """A film with the signature across the middle, where two requests of a resumable upload meet."""
    data = film(size)
    start = (size - len(VIRUS)) // 2
    return data[:start] + VIRUS + data[start + len(VIRUS) :]


def last_upload(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/api/v1/uploads/", user="alice").json()["results"][0]
    return found


def assert_nothing_is_kept(server: Server) -> None:
    assert (files(server), server.stored_bytes(), server.quarantined()) == ({}, [], [])


def warnings(server: Server) -> str:
    return " ".join(server.get("/readyz").json()["warnings"])


@EVERY_WAY
@pytest.mark.parametrize("size", [300_000, 20_000], ids=["of many pieces", "smaller than what is sniffed"])
def test_clean_content_becomes_a_file(server: Server, film: Film, send: Send, size: int) -> None:
    data = film(size)
    assert send(server, data).status in {201, 204}
    [file] = files(server).values()
    assert content(server, file).body == data


@EVERY_WAY
def test_infected_content_is_refused_and_the_finding_is_named(server: Server, film: Film, send: Send) -> None:
    answer = send(server, infected(film))
    assert (answer.status, answer.code, answer.json()["signature"]) == (422, "infected", SIGNATURE)
    assert SIGNATURE in answer.json()["detail"]
    assert_nothing_is_kept(server)
    upload = last_upload(server)
    assert (upload["state"], upload["error"]["code"]) == ("failed", "infected")


@EVERY_WAY
def test_infected_content_is_put_into_quarantine(
    quarantining_server: Server, clamd: ClamdServer, film: Film, send: Send
) -> None:
    server, data = quarantining_server, infected(film)
    answer = send(server, data)
    assert (answer.status, answer.code) == (422, "infected")
    assert "quarantine" in answer.json()["detail"]
    assert (files(server), server.stored_bytes()) == ({}, [])
    [kept] = server.quarantined()
    assert (kept.read_bytes(), ".infected." in kept.name) == (data, True)
    assert key_of(kept) in last_upload(server)["error"]["detail"]
    kept.unlink()


def test_the_administrator_sees_what_is_infected_and_can_take_it_back(
    quarantining_server: Server, clamd: ClamdServer, film: Film
) -> None:
    server, data = quarantining_server, infected(film)
    send_tus(server, data)
    [kept] = server.quarantined()
    assert re.search(f"{key_of(kept)}  300.0 KB, .*: the virus scanner", server.manage("quarantine").stdout)
    assert "Objects in quarantine: 1" in warnings(server)
    server.manage("quarantine", "--take-back", key_of(kept))
    server.manage("rebuild")
    assert [path.read_bytes() for path in server.stored_bytes()] == [data]
    assert "1 contents checked, no problems found" in fsck(server)[1]


# A resumable upload becomes an object of an S3 store before the scan: there, it is whole and still waits for it.
@pytest.mark.parametrize("send", [send_put, pytest.param(send_tus, marks=pytest.mark.local_disk)])
@pytest.mark.parametrize("step", [Step.SYNCED, Step.LINKED])
def test_a_crash_on_the_way_to_quarantine_makes_no_file(
    quarantining_server: MortalServer, clamd: ClamdServer, film: Film, send: Send, step: Step
) -> None:
    server = quarantining_server
    before = server.stored_bytes()  # what the test before has taken back
    server.die_at(step)
    with pytest.raises((OSError, http.client.HTTPException)):
        send(server, infected(film))
    assert not server.is_alive_at()
    server.restart()
    assert last_upload(server)["error"]["code"] == "infected"
    server.manage("fsck", "--repair", "--grace", "0")
    assert (files(server), server.stored_bytes()) == ({}, before)
    for kept in server.quarantined():
        kept.unlink()


def key_of(kept: Path | StoredObject) -> str:
    return kept.name.rpartition(".")[2]


@pytest.mark.parametrize("send", [send_form, send_put])
def test_without_clamd_uploads_are_refused(server: Server, clamd: ClamdServer, film: Film, send: Send) -> None:
    clamd.kill()
    answer = send(server, film())
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "scan_unavailable", "60")
    assert_nothing_is_kept(server)


def test_a_clamd_that_does_not_answer_is_reported(server: Server, clamd: ClamdServer) -> None:
    clamd.kill()
    wait_until(lambda: "virus scanner" in warnings(server))
    assert "uploads.W002" in server.manage("check").stderr
    clamd.start()
    assert "uploads.W002" not in server.manage("check").stderr
    wait_until(lambda: "virus scanner" not in warnings(server))


def test_a_clamd_that_hangs_is_not_waited_for_endlessly(server: Server, clamd: ClamdServer, film: Film) -> None:
    with clamd.hanging():
        for size in (50_000, 8 * MIB):  # it does not judge the first, and does not even take the second
            answer = send_put(server, film(size))
            assert (answer.status, answer.code) == (503, "scan_unavailable")
    assert_nothing_is_kept(server)


def test_a_clamd_that_dies_while_it_is_sent_content(server: Server, clamd: ClamdServer, film: Film) -> None:
    data = film(MIB)
    with slow_put(server, data, 400_000) as wire:
        wait_until(lambda: last_upload(server)["offset"] >= 200_000)
        clamd.kill()
        wire.sendall(data[400_000:])
        status, problem = ended(wire)
    assert (status, problem["code"]) == (503, "scan_unavailable")
    assert_nothing_is_kept(server)


def test_content_over_the_limit_of_a_stream_is_refused_before_all_of_it_is_sent(server: Server, film: Film) -> None:
    data = film(STREAM_LIMIT + 2 * MIB)
    with slow_put(server, data + bytes(64 * MIB), len(data)) as wire:
        status, problem = ended(wire)
    assert (status, problem["code"]) == (413, "too_large_to_scan")
    assert "StreamMaxLength" in problem["detail"]
    assert_nothing_is_kept(server)


@EVERY_WAY
@pytest.mark.parametrize(
    ("size", "limit"),
    [(SCAN_LIMIT + 1000, "MaxFileSize"), (STREAM_LIMIT + 1000, "StreamMaxLength")],
    ids=["of a scan", "of a stream"],
)
def test_the_limit_to_raise_is_named(server: Server, film: Film, send: Send, size: int, limit: str) -> None:
    answer = send(server, film(size))
    assert (answer.status, answer.code) == (413, "too_large_to_scan")
    assert limit in answer.json()["detail"]
    assert_nothing_is_kept(server)


# Resumable uploads: all bytes are kept until there is a verdict


@pytest.mark.parametrize("is_infected", [False, True], ids=["clean", "infected"])
def test_a_resumable_upload_waits_for_clamd(
    server: Server, clamd: ClamdServer, film: Film, is_infected: bool
) -> None:
    data, client = infected(film) if is_infected else film(), Client(server)
    path = client.new(len(data))
    clamd.kill()
    answer = client.patch(path, 0, data)
    assert (answer.status, answer.code) == (503, "scan_unavailable")
    assert client.head(path).status == 423  # not the offset: the client would take it for the end
    assert files(server) == {}
    clamd.start()
    answer = client.head(path)
    if is_infected:
        assert answer.status == 410 or client.head(path).status == 410
        assert_nothing_is_kept(server)
    else:
        assert (answer.status, answer.headers["Upload-Offset"]) == (200, str(len(data)))
        assert client.is_complete(path, data)


@pytest.mark.local_disk  # on S3 the lease of the killed server must end first, and the bytes of its request are lost
@pytest.mark.parametrize("is_infected", [False, True], ids=["clean", "infected"])
def test_housekeeping_asks_clamd_again_after_a_crash(
    server: Server, clamd: ClamdServer, film: Film, is_infected: bool
) -> None:
    """The server is killed while clamd has all bytes, and has not judged them."""
    data, client = infected(film) if is_infected else film(), Client(server)
    path = client.new(len(data))
    with clamd.hanging(), ThreadPoolExecutor(1) as others:
        others.submit(client.patch, path, 0, data)
        client.wait_for(path, len(data))
        server.kill()
    server.start()
    assert files(server) == {}
    server.call(partial_uploads.shift_heartbeats, 1)
    server.manage("housekeeping", "--now")
    if is_infected:
        assert client.look(path)["error"]["code"] == "infected"
        assert_nothing_is_kept(server)
    else:
        assert client.is_complete(path, data)


# Other entrances


def test_ingest_takes_nothing_infected_and_leaves_it_where_it_is(server: Server, film: Film, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.mp4", tmp_path / "bad.mp4"
    good.write_bytes(film())
    bad.write_bytes(infected(film))
    done = server.manage("ingest", "--owner", "alice", "--move", str(good), str(bad), check=False)
    assert "1 ingested, 0 already stored, 1 refused." in done.stdout
    assert SIGNATURE in done.stderr
    assert (list(files(server)), good.exists(), bad.exists()) == (["good.mp4"], False, True)


def test_another_server_in_the_place_of_clamd_is_not_believed() -> None:
    with mail_server() as other:
        clamd = Clamd(("127.0.0.1", other.port), timeout=30)
        assert "not clamd" in clamd.problem()
        with pytest.raises(ScanUnavailable):
            scan_content(clamd, b"some bytes")


def scan_content(clamd: Clamd, data: bytes) -> None:
    with VirusScan(clamd) as scan:
        scan.feed(data)
        scan.finish()
