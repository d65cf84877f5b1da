"""tus 1.0: how an upload ends without becoming a file, and what it outlives."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.support.in_server import content as content_rows
from tests.support.in_server import partial_uploads
from tests.support.running_servers import StartServer, running
from tests.support.server import Answer, Server, Template, sql
from tests.support.tus_client import UPLOADS, Client, refusal
from tests.support.upload_locks import partials, was_asked
from tests.support.waiting import wait_until

Film = Callable[..., bytes]
PATIENCE = 5  # seconds that a newcomer waits for the holder


@pytest.fixture(scope="module")
def quiet(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """On a server of which each test looks at everything, and leaves nothing unfinished."""
    with running(template, tmp_path_factory) as server:
        yield Client(server)


# Termination


def test_a_terminated_upload_is_gone(quiet: Client, film: Film) -> None:
    tus, content = quiet, film()
    before = sorted(tus.server.stored_bytes())
    paths = [tus.new(len(content)) for _ in range(2)]
    assert tus.patch(paths[0], 0, content[:100_000]).status == 204
    for path in paths:
        answer = tus.delete(path)
        assert (answer.status, answer.body) == (204, b"")
        assert tus.head(path).status == 410
        assert refusal(tus.patch(path, 100_000, content[100_000:])) == (410, "gone")
        assert refusal(tus.delete(path)) == (410, "gone")
        assert tus.look(path)["state"] == "failed"
    assert sorted(tus.server.stored_bytes()) == before


def test_the_file_of_a_complete_upload_is_deleted_with_it(tus: Client, film: Film) -> None:
    content = film()
    path = tus.new(len(content))
    tus.finish(path, content)
    file = tus.look(path)["file"]
    answer = tus.delete(path)
    assert (answer.status, answer.body) == (204, b"")
    assert tus.server.get(f"/api/v1/files/{file}/", user="alice").status == 404
    assert (tus.look(path)["state"], tus.look(path)["file"]) == ("complete", None)


def test_a_complete_upload_whose_file_was_deleted_is_gone(tus: Client, film: Film) -> None:
    content = film()
    path = tus.new(len(content))
    tus.finish(path, content)
    assert tus.server.request("DELETE", f"/api/v1/files/{tus.look(path)['file']}/").status == 204
    assert tus.head(path).status == 410
    assert refusal(tus.delete(path)) == (410, "gone")
    assert refusal(tus.patch(path, len(content), b"")) == (410, "gone")
    assert refusal(tus.server.request("PUT", path, content)) == (410, "gone")


def test_a_complete_upload_stays_while_a_job_uses_its_file(tus: Client, film: Film) -> None:
    content = film()
    path = tus.new(len(content))
    tus.finish(path, content)
    order = json.dumps({"operation": "thumbnail", "file": tus.look(path)["file"]})
    job = tus.server.request("POST", "/api/v1/jobs/", order.encode(), {"Content-Type": "application/json"}).json()
    assert refusal(tus.delete(path)) == (409, "in_use")
    assert tus.is_complete(path, content)
    assert tus.server.request("POST", urlsplit(job["urls"]["cancel"]).path).status == 200
    assert tus.delete(path).status == 204


def test_a_complete_upload_is_deleted_by_those_who_may_delete_its_file(tus: Client, film: Film) -> None:
    content = film()
    path = tus.new(len(content))
    tus.finish(path, content)
    assert refusal(Client(tus.server, "viewer").delete(path)) == (403, "forbidden")
    assert Client(tus.server, "bob").delete(path).status == 404
    assert tus.is_complete(path, content)
    assert Client(tus.server, "operator").delete(path).status == 204


def test_an_upload_that_ended_with_its_request_is_not_terminated(tus: Client, film: Film) -> None:
    file = tus.server.put("stays.mp4", film(), {"Idempotency-Key": "stays"}).json()
    [upload] = tus.server.get("/api/v1/uploads/?key=stays", user="alice").json()["results"]
    assert refusal(tus.delete(f"{UPLOADS}{upload['id']}")) == (403, "forbidden")
    assert tus.server.get(f"/api/v1/files/{file['id']}/", user="alice").status == 200


# What is promised to an upload while it waits


def test_a_paused_upload_keeps_its_share_until_it_ends(start_server: StartServer, film: Film) -> None:
    server = start_server(QUOTA="1MB")
    tus, content = Client(server), film(600_000)
    path = tus.new(len(content))
    assert refusal(tus.create(600_000)) == (413, "quota_exceeded")
    assert tus.patch(path, 0, content[:100_000]).status == 204
    server.call(partial_uploads.recover_half_a_day_later)  # half a day after its server died
    assert refusal(tus.create(600_000)) == (413, "quota_exceeded")
    assert tus.delete(path).status == 204
    assert server.call(partial_uploads.reserved) == 0
    path = tus.new(len(content))
    assert tus.finish(path, content) == 0
    assert server.call(partial_uploads.reserved) == 0
    assert refusal(tus.create(600_000)) == (413, "quota_exceeded")  # now for the file


def test_uploads_that_move_are_counted_and_paused_ones_are_not(start_server: StartServer, film: Film) -> None:
    server = start_server(MAX_UPLOADS_PER_USER="2")
    tus, content = Client(server), film()
    paths = [tus.new(len(content)) for _ in range(4)]
    with tus.sending(paths[0], content[:1000]), tus.sending(paths[1], content[:1000]) as line:
        assert refusal(tus.patch(paths[2], 0, content)) == (429, "too_many_uploads")
        assert Client(server, "bob").new(5000)
        assert tus.offset(paths[1]) == 1000  # stops it
        assert line.was_refused()
        assert tus.finish(paths[2], content) == 0
    assert tus.finish(paths[3], content) == 0


def test_who_is_overtaken_at_the_end_leaves_nothing_behind(quiet: Client, film: Film) -> None:
    """Two find all the bytes: one has stored them when the other, on another server, writes the rows."""
    tus, server, content = quiet, quiet.server, film(200_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:100_000]).status == 204
    (server.home / "rest").write_bytes(content[100_000:])
    server.call(partial_uploads.finish_after_another_has_stored_it)
    assert tus.is_complete(path, content)
    assert server.partial_bytes() == []


def test_who_has_just_paused_may_go_on_with_another(start_server: StartServer, film: Film) -> None:
    tus, content = Client(start_server(MAX_UPLOADS_PER_USER="2")), film()
    for path in [tus.new(len(content)) for _ in range(4)]:
        wait_until(lambda: tus.patch(path, 0, content[:100_000]).status == 204)  # noqa: B023
        tus.wait_for(path, 100_000)


def test_a_claim_of_bytes_that_a_power_cut_took_is_not_believed(quiet: Client, film: Film) -> None:
    content = film(200_000)
    path = quiet.new(len(content))
    assert quiet.patch(path, 0, content[:100_000]).status == 204
    quiet.server.call(content_rows.claim_other_bytes_for_upload)
    assert quiet.finish(path, content) == 100_000
    assert quiet.is_complete(path, content)
    assert quiet.server.manage("fsck", "--deep").returncode == 0


# Trouble that passes


@pytest.mark.local_disk
def test_a_disk_that_fails_for_a_while_costs_nobody_an_upload(quiet: Client, film: Film) -> None:
    tus, server, content = quiet, quiet.server, film()
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:100_000]).status == 204
    away = server.home / "unmounted"
    server.media.rename(away)
    assert tus.head(path).status == 423
    assert tus.patch(path, 100_000, content[100_000:]).status in {423, 503}
    server.manage("housekeeping", "--once")
    server.media.mkdir()  # an empty folder stands where the disk was
    assert tus.head(path).status == 423
    assert tus.patch(path, 100_000, content[100_000:]).status in {423, 503}
    server.manage("housekeeping", "--once")
    shutil.rmtree(server.media)
    away.rename(server.media)
    assert tus.finish(path, content) == 100_000


@pytest.mark.local_disk
def test_a_database_that_fails_for_a_while_is_no_error_and_costs_nobody_a_byte(quiet: Client, film: Film) -> None:
    tus, server, content = quiet, quiet.server, film()
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:100_000]).status == 204
    [partial_file] = partials(server)
    with ThreadPoolExecutor(2) as pool, contextlib.ExitStack() as trouble:
        with partial_file.open("rb+") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            waiting = pool.submit(tus.head, path)
            wait_until(lambda: was_asked(server, path))  # it has passed everything but the lock
            trouble.enter_context(no_database(server))
        coming = pool.submit(tus.head, path)
        assert (waiting.result().status, coming.result().status) == (423, 423)
        trouble.close()
    back = time.monotonic()
    assert tus.finish(path, content) == 100_000
    assert time.monotonic() - back < 15  # it was away for thirty seconds on PostgreSQL


@contextlib.contextmanager
def no_database(server: Server) -> Iterator[None]:
    if server.database_url:
        name = server.database_url.rpartition("/")[2]
        sql(server.database_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        ours = f"datname = '{name}'"
        sql(server.database_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")  # noqa: S608
        yield
        sql(server.database_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        return
    [database] = server.home.glob("*.sqlite3")
    away = database.with_name("away")
    database.rename(away)
    database.mkdir()
    yield
    database.rmdir()
    away.rename(database)


@pytest.mark.local_disk
def test_a_holder_that_cannot_be_stopped_keeps_the_upload(quiet: Client, film: Film) -> None:
    tus, content = quiet, film(400_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:100_000]).status == 204
    [partial_file] = partials(tus.server)
    with partial_file.open("rb+") as holder, ThreadPoolExecutor(3) as pool:
        fcntl.flock(holder, fcntl.LOCK_EX)
        began = time.monotonic()
        deeds: list[Callable[[], Answer]] = [
            partial(tus.patch, path, 100_000, content[100_000:]), partial(tus.delete, path), partial(tus.head, path),
        ]  # fmt: skip
        patched, deleted, headed = pool.map(lambda deed: deed(), deeds)
        assert time.monotonic() - began < 4 * PATIENCE
        assert refusal(patched) == refusal(deleted) == (423, "locked")
        assert headed.status in {200, 423}
        assert tus.look(path)["offset"] == 100_000
    assert tus.finish(path, content) == 100_000


# Expiry


@pytest.fixture(scope="module")
def forgetful(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits two seconds for an upload to go on."""
    with running(template, tmp_path_factory, UPLOAD_EXPIRY="2s", QUOTA="1MB") as server:
        yield server


def test_an_upload_that_nobody_goes_on_with_ends_and_gives_back_what_it_had(forgetful: Server, film: Film) -> None:
    tus = Client(forgetful)
    paths = [tus.new(400_000), tus.new(400_000)]
    assert tus.patch(paths[0], 0, film(400_000)[:100_000]).status == 204

    def have_ended() -> bool:
        forgetful.manage("housekeeping", "--now")
        return all(tus.look(path)["state"] == "failed" for path in paths)

    wait_until(have_ended, timeout=60)
    for path in paths:
        assert tus.look(path)["error"]["code"] == "expired"
        assert tus.head(path).status == 410
        assert refusal(tus.patch(path, 100_000, b"abc")) == (410, "gone")
    assert forgetful.stored_bytes() == []
    assert forgetful.call(partial_uploads.reserved) == 0


def test_an_upload_that_goes_on_does_not_expire(forgetful: Server, film: Film) -> None:
    tus, content = Client(forgetful), film(400_000)
    path = tus.new(len(content))
    began = time.monotonic()
    with tus.begin(path, 0, len(content)) as line:
        sent = 0
        while time.monotonic() - began < 3:
            line.send(content[sent : sent + 10_000])
            sent += 10_000
            time.sleep(0.1)
        forgetful.manage("housekeeping", "--now")
        line.send(content[sent:])
        assert line.answer().status == 204
    assert tus.is_complete(path, content)
    assert tus.server.request("DELETE", f"/api/v1/files/{tus.look(path)['file']}/").status == 204


def test_an_upload_whose_time_is_over_may_go_on_as_long_as_nobody_has_ended_it(quiet: Client, film: Film) -> None:
    content = film()
    path = quiet.new(len(content))
    assert quiet.patch(path, 0, content[:100_000]).status == 204
    quiet.server.call(partial_uploads.expire_receiving, days=10)
    assert "end expired uploads" in quiet.server.manage("housekeeping", "--once").stdout  # it says that it did not
    assert quiet.finish(path, content) == 100_000


@pytest.mark.local_disk
def test_one_upload_that_cannot_be_ended_keeps_no_other_from_ending(start_server: StartServer, film: Film) -> None:
    server = start_server(UPLOAD_EXPIRY="1ms")
    tus = Client(server)
    paths = [tus.new(5000) for _ in range(3)]
    for path in paths:
        assert tus.patch(path, 0, film(5000)[:1000]).status == 204
    broken, *_ = partials(server)
    broken.unlink()
    broken.mkdir()  # stands for what the disk cannot read

    def have_ended() -> list[bool]:
        server.manage("housekeeping", "--now")
        return sorted(tus.look(path)["state"] == "failed" for path in paths)

    wait_until(lambda: have_ended() == [False, True, True])  # what has only just come is settled first, and ends then
    broken.rmdir()
    server.manage("housekeeping", "--now")
    assert {tus.look(path)["state"] for path in paths} == {"failed"}


@pytest.mark.local_disk
def test_sweeping_leaves_the_bytes_of_a_paused_upload_alone_however_old(quiet: Client, film: Film) -> None:
    tus, server, content = quiet, quiet.server, film()
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:100_000]).status == 204
    for file in partials(server):
        os.utime(file, (0, 0))
    server.call(partial_uploads.recover_half_a_day_later)
    assert server.call(content_rows.sweep_without_grace) == 0
    assert server.manage("fsck", "--deep", "--grace", "0").returncode == 0
    assert tus.finish(path, content) == 100_000
    assert partials(server) == []


def test_partials_that_no_upload_has_are_swept(quiet: Client, film: Film) -> None:
    tus, server = quiet, quiet.server
    path = tus.new(300_000)
    assert tus.patch(path, 0, film()[:100_000]).status == 204
    server.call(partial_uploads.delete_receiving)
    assert server.partial_bytes()
    server.call(content_rows.sweep_without_grace)
    assert server.partial_bytes() == []
