"""What passes a quota, the room on a disk or a time limit gets its status and its code, and nothing of it is kept."""

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.raw_requests import WAYS, Request, chunk, chunked, form, form_of, line, put, send
from tests.support.refused_requests import assert_refused, files, nameless_bytes, nothing_kept, uploads
from tests.support.running_servers import StartServer, running
from tests.support.server import Server, Template, form_part
from tests.support.waiting import wait_until

MIB = 1024**2

Film = Callable[..., bytes]


# What an account may take


@pytest.fixture(scope="module")
def _small_quota(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, QUOTA="1MB", UPLOAD_IDLE_TIMEOUT="1s") as server:
        yield server


@pytest.fixture
def small_quota(_small_quota: Server) -> Server:
    """A server whose accounts may store 1 MB and make it wait for a second. Alice has no files."""
    for file in files(_small_quota):
        assert _small_quota.request("DELETE", f"/api/v1/files/{file['id']}/").status == 204
    return _small_quota


@pytest.mark.parametrize("way", WAYS)
def test_what_passes_the_quota_is_refused(small_quota: Server, film: Film, way: str) -> None:
    server = small_quota
    assert send(server, put("first.mp4", film(700_000))).status == 201
    assert_refused(server, WAYS[way](film(400_000)), 413, "quota_exceeded")
    assert send(server, put("fits.mp4", film(200_000))).status == 201


@pytest.mark.parametrize("way", WAYS)
def test_uploads_at_once_never_overrun_the_quota_together(small_quota: Server, film: Film, way: str) -> None:
    server = small_quota
    requests = [WAYS[way](film(300_000)) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda request: send(server, request), requests))
    kept = sum(answer.status == 201 for answer in answers)
    assert kept <= 3
    assert {answer.code for answer in answers if answer.status != 201} == {"quota_exceeded"}
    # A client that does not say its size is promised all that is left until it ends.
    assert kept == 3 if way in {"put", "form"} else kept >= 1
    assert sum(file["size"] for file in files(server)) == kept * 300_000


def test_more_uploads_at_once_than_allowed_are_refused(start_server: StartServer, film: Film) -> None:
    server = start_server(MAX_UPLOADS_PER_USER="1")
    content = film()
    with line(server, put("slow.mp4", Content_Length="300000")) as slow:
        slow.send(content[:100_000])
        wait_until(lambda: len(uploads(server, "receiving")) == 1)
        for request in (put("second.mp4", film()), form(form_of(film()))):
            answer = send(server, request)
            assert (answer.status, answer.code) == (429, "too_many_uploads")
            assert int(answer.headers["Retry-After"]) > 0
        assert send(server, put("of-another.mp4", film()), user="bob").status == 201
        slow.send(content[100_000:])
        assert slow.answer().status == 201
    assert send(server, put("second.mp4", film())).status == 201


# Clients that take their time


SLOW: dict[str, Callable[[bytes], Request]] = {
    "put": lambda content: put("film.mp4", content, Content_Length="300000"),
    "form": lambda content: form(form_part("file", content, "film.mp4")[:-2], Content_Length="300200"),
    "chunked": lambda content: chunked("film.mp4", chunk(content)),
}


@pytest.mark.parametrize("way", SLOW)
def test_a_client_that_stops_sending_is_refused(small_quota: Server, film: Film, way: str) -> None:
    before, started = len(uploads(small_quota, "failed")), time.monotonic()
    assert_refused(small_quota, SLOW[way](film()[:100_000]), 408, "too_slow")
    assert 1 <= time.monotonic() - started < 20  # of a minute, unless it is told otherwise
    newest, *others = uploads(small_quota, "failed")
    assert (newest["error"]["code"], len(others)) == ("too_slow", before)


def test_an_upload_that_takes_too_long_is_refused(start_server: StartServer, film: Film) -> None:
    server = start_server(UPLOAD_TIMEOUT="2s")
    content = film()

    def trickle() -> Iterator[bytes]:
        for start in range(0, len(content), 5_000):
            yield content[start : start + 5_000]
            time.sleep(0.1)

    started = time.monotonic()
    assert_refused(server, put("film.mp4", trickle(), Content_Length="300000"), 408, "too_slow")
    assert 2 <= time.monotonic() - started < 20
    assert [upload["error"]["code"] for upload in uploads(server, "failed")] == ["too_slow"]


# Disks


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], text=True, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a small disk needs root: {done.stderr.strip()}")


SmallDisk = Callable[..., Server]


@pytest.fixture
def on_small_disk(start_server: StartServer) -> Iterator[SmallDisk]:
    """A server whose media folder is a disk of 4 MiB."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root and mount")
    mounted = []

    def start(**settings: str) -> Server:
        server = start_server(**settings)
        marker = next(server.media.glob(".*"))
        content = marker.read_bytes()
        _mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(server.media))
        mounted.append(server.media)
        (server.media / marker.name).write_bytes(content)
        return server

    yield start
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.local_disk
def test_what_the_disk_has_no_room_for_is_refused_before_the_body(on_small_disk: SmallDisk) -> None:
    server = on_small_disk()
    answer = assert_refused(server, put("film.mp4", Content_Length=str(5 * MIB)), 507, "insufficient_storage")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.local_disk
def test_what_would_leave_less_than_min_free_is_refused_before_the_body(on_small_disk: SmallDisk, film: Film) -> None:
    server = on_small_disk(MIN_FREE="2MiB")
    assert_refused(server, put("film.mp4", Content_Length=str(3 * MIB)), 507, "insufficient_storage")
    assert send(server, put("fits.mp4", film(MIB))).status == 201


@pytest.mark.local_disk
@pytest.mark.parametrize("way", ["chunked", "chunked form", "gzip"])
def test_what_does_not_say_its_size_is_refused_when_the_room_ends(
    on_small_disk: SmallDisk, film: Film, way: str
) -> None:
    assert_refused(on_small_disk(), WAYS[way](film(5 * MIB)), 507, "insufficient_storage")


@pytest.mark.local_disk
def test_two_uploads_do_not_get_the_same_room(on_small_disk: SmallDisk, film: Film) -> None:
    server = on_small_disk()
    content = film(3 * MIB)
    with line(server, put("first.mp4", Content_Length=str(len(content)))) as first:
        first.send(content[:100_000])
        wait_until(lambda: len(uploads(server, "receiving")) == 1)
        second = send(server, put("second.mp4", film(2 * MIB)))
        assert (second.status, second.code) == (507, "insufficient_storage")
        first.send(content[100_000:])
        assert first.answer().status == 201


@pytest.mark.local_disk
@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_a_disk_that_somebody_else_fills_is_told_as_full(on_small_disk: SmallDisk, film: Film, way: str) -> None:
    server = on_small_disk()
    content, key = film(3 * MIB), uuid.uuid4().hex
    whole = WAYS[way](content)
    assert isinstance(whole.body, bytes)
    with nothing_kept(server):
        with line(server, whole, key=key) as client:
            client.send(whole.body[:200_000])
            wait_until(lambda: bool(nameless_bytes(server)))
            filler = server.media / ".filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(65536))
            client.send(whole.body[200_000:])
            answer = client.answer()
        filler.unlink()
    assert (answer.status, answer.code) == (507, "insufficient_storage")
    assert send(server, whole, key=key).status == 201


@pytest.mark.local_disk
@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_a_disk_that_cannot_be_written_is_told_as_unavailable(on_small_disk: SmallDisk, film: Film, way: str) -> None:
    server = on_small_disk()
    _mount("-o", "remount,ro", str(server.media))
    with nothing_kept(server):
        answer = send(server, WAYS[way](film()))
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.local_disk
@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_a_disk_without_our_mark_is_told_as_unavailable(start_server: StartServer, film: Film, way: str) -> None:
    server = start_server()
    next(server.media.glob(".*")).unlink()
    with nothing_kept(server):
        answer = send(server, WAYS[way](film()))
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert server.get("/readyz").status == 503
