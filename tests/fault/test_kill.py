"""Whatever moment a process is killed at: what was answered is there, and nothing is left over."""

import http.client
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.films import sha256
from tests.support.in_server import content as content_rows
from tests.support.killable_server import MortalServer
from tests.support.repetitions import MORE
from tests.support.run import command_for
from tests.support.running_servers import StartServer
from tests.support.server import ROOT, Answer, Server, Template, form_end, form_part
from tests.support.waiting import wait_until
from uploads.sinks.crash_points import Step

Film = Callable[..., bytes]
STORING = [Step.CLAIMED, Step.SYNCED, Step.LINKED, Step.DIRECTORY_SYNCED, Step.STORED, Step.ANSWERED]
SEEN = {Step.STORED, Step.ANSWERED}  # from here on people see the file
DELETING = [Step.ROW_DELETED, Step.SIDECAR_DELETED, Step.BYTES_DELETED]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalServer]:
    home = tmp_path_factory.mktemp("mortal") / "home"
    mortal = MortalServer(
        home, template.tokens, template.copy_to(home), config="tests.support.gunicorn_configs.killed_at_a_step"
    )
    mortal.start()
    yield mortal
    mortal.end()


def state_of(server: Server) -> dict[str, list[str]]:
    return server.call(content_rows.files_and_claims)


def assert_nothing_is_left_over(server: Server) -> None:
    found = server.call(content_rows.clean_up_hours_later)
    assert sorted(path.name for path in server.stored_bytes()) == found.pop("keys")
    assert found == {"not stored": 0, "unused": 0, "receiving": 0, "reserved": 0}
    assert server.manage("fsck", "--deep", "--grace", "0").returncode == 0


def assert_is_there(server: Server, file: dict[str, str], content: bytes) -> None:
    assert file["sha256"] == sha256(content)
    assert server.get(f"/api/v1/files/{file['id']}/content", user="alice").body == content


def put(server: Server, name: str, content: bytes) -> Answer:
    return server.put(name, content)


def post(server: Server, name: str, content: bytes) -> Answer:
    return server.post_form(form_part("file", content, name) + form_end())


def delete(server: Server, file: dict[str, str]) -> Answer:
    return server.request("DELETE", f"/api/v1/files/{file['id']}/")


def answer_of(send: Callable[[], Answer]) -> Answer | None:
    """None when the server died before it answered."""
    try:
        return send()
    except (OSError, http.client.HTTPException):
        return None


def names(server: Server, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = server.get(f"/api/v1/files/?q={name}", user="alice").json()["results"]
    return found


Entrance = Callable[[Server, str, bytes], Answer]


@pytest.mark.parametrize(
    ("entrance", "step"), [*((put, step) for step in STORING), (post, Step.LINKED), (post, Step.ANSWERED)]
)
def test_a_kill_at_any_step_of_keeping_loses_nothing_that_was_answered(
    server: MortalServer, film: Film, entrance: Entrance, step: Step
) -> None:
    first, killed = film(70_000), film(80_000)
    answered = entrance(server, "first.mp4", first).json()

    server.die_at(step)
    name = f"{entrance.__name__}-{step}.mp4"
    assert answer_of(lambda: entrance(server, name, killed)) is None
    server.restart()

    assert not server.is_alive_at()
    assert_is_there(server, answered, first)
    seen = names(server, name)
    assert len(seen) == (step in SEEN)
    for file in seen:  # unanswered, and yet, since people see it, whole
        assert_is_there(server, file, killed)
    assert_nothing_is_left_over(server)
    assert_is_there(server, answered, first)
    again = entrance(server, name, killed)
    assert again.status == 201
    assert_is_there(server, again.json(), killed)


def test_a_kill_after_a_twin_was_found_leaves_both_files_whole(server: MortalServer, film: Film) -> None:
    content = film(90_000)
    first = server.put("one.mp4", content).json()
    server.die_at(Step.ANSWERED)
    assert answer_of(lambda: server.put("twin-of-one.mp4", content)) is None
    server.restart()
    (twin,) = names(server, "twin-of-one")
    for file in (first, twin):
        assert_is_there(server, file, content)
    assert_nothing_is_left_over(server)
    assert delete(server, first).status == 204
    assert_is_there(server, twin, content)


@pytest.mark.parametrize("step", STORING)
def test_a_kill_while_a_twin_brings_lost_bytes_back_loses_nothing_more(
    server: MortalServer, film: Film, step: Step
) -> None:
    content = film(90_000)
    file = server.put("lost.mp4", content).json()
    key = server.call(content_rows.key_of_file, file["id"])
    server.place_of(key).unlink()
    server.die_at(step)
    assert answer_of(lambda: server.put("brought-back.mp4", content)) is None
    server.restart()
    if step in SEEN:
        assert_is_there(server, file, content)
    assert server.put("brought-back.mp4", content).status == 201
    assert_is_there(server, file, content)
    assert_nothing_is_left_over(server)


@pytest.mark.parametrize("step", DELETING)
@pytest.mark.parametrize("shared", [False, True])
def test_a_kill_at_any_step_of_deleting_leaves_nothing_and_harms_no_twin(
    server: MortalServer, film: Film, step: Step, shared: bool
) -> None:
    content = film(75_000)
    file, twin = (server.put(f"{name}.mp4", content).json() for name in ("deleted", "kept"))
    if not shared:
        assert delete(server, twin).status == 204
    server.die_at(step)
    answer = answer_of(lambda: delete(server, file))
    if shared:
        assert answer is not None  # the bytes are not touched, so neither step is reached
        assert (answer.status, server.is_alive_at()) == (204, True)
        (server.home / "kill-at").unlink()
    else:
        assert answer is None
    server.restart()
    assert server.get(f"/api/v1/files/{file['id']}/", user="alice").status == 404
    assert_nothing_is_left_over(server)
    if shared:
        assert_is_there(server, twin, content)
    assert server.put("again.mp4", content).status == 201


def test_a_kill_of_the_whole_tree_within_a_body_keeps_what_was_answered_and_nothing_else(
    server: MortalServer, film: Film
) -> None:
    files = {
        name: (content := film(70_000), server.put(name, content).json()) for name in ("a.mp4", "b.mp4", "c.mp4")
    }
    wires = [begin_put(server, film(400_000), sent=200_000, name=f"cut-{number}.mp4") for number in range(3)]
    wait_until(lambda: len(receiving(server)) == 3)
    server.kill()
    for wire in wires:
        wire.close()
    server.start()
    assert len(receiving(server)) == 3  # for now: nobody can know yet that they have no holder
    assert_nothing_is_left_over(server)
    for content, file in files.values():
        assert_is_there(server, file, content)
    assert not names(server, "cut-")
    assert (
        server.get("/api/v1/uploads/?state=failed", user="alice").json()["results"][0]["error"]["code"] == "abandoned"
    )


def begin_put(server: Server, content: bytes, *, sent: int, name: str = "slow.mp4") -> socket.socket:
    """A PUT of which `sent` bytes have come so far."""
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = f"PUT /api/v1/upload/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    wire.sendall(f"{head}Authorization: Bearer {server.tokens['alice']}\r\n\r\n".encode() + content[:sent])
    return wire


def receiving(server: Server) -> list[dict[str, object]]:
    found = server.get("/api/v1/uploads/?state=receiving", user="alice").json()["results"]
    return [upload for upload in found if upload["offset"] > 0]


@pytest.mark.parametrize("step", STORING[:4])
def test_sweeping_right_after_a_kill_leaves_alone_what_is_young(server: MortalServer, film: Film, step: Step) -> None:
    server.die_at(step)
    assert answer_of(lambda: server.put("young.mp4", film(70_000))) is None
    server.restart()
    before, bytes_before = state_of(server), set(server.stored_bytes())
    assert len(before["storing"]) == 1
    server.manage("housekeeping", "--now")
    assert state_of(server) == before
    assert set(server.stored_bytes()) == bytes_before
    assert_nothing_is_left_over(server)


def test_files_being_stored_survive_sweeping_that_never_stops(server: MortalServer, film: Film) -> None:
    """Also bytes that have their name and not yet their row flipped, which are what a sweeper might take."""
    sweeper = subprocess.Popen(
        command_for(content_rows.sweep_for_ever),
        cwd=ROOT, env=server.environment, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert sweeper.stdout is not None
        assert sweeper.stdout.readline()
        for number in range(10 * MORE):
            content = film(70_000)
            answer = server.put(f"{number}.mp4", content)
            assert answer.status == 201, answer
            assert_is_there(server, answer.json(), content)
            if number % 2:
                assert delete(server, answer.json()).status == 204
        assert sweeper.poll() is None
    finally:
        sweeper.kill()
        sweeper.communicate()
    assert_nothing_is_left_over(server)


def test_a_file_whose_claim_was_swept_while_it_was_stored_is_refused_or_whole(
    server: MortalServer, film: Film
) -> None:
    """A sweep that judges too early (no grace at all) may cost an upload; never half a file."""
    sweeper = subprocess.Popen(
        command_for(content_rows.sweep_for_ever_without_grace),
        cwd=ROOT, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert sweeper.stdout is not None
        assert sweeper.stdout.readline()
        for number in range(10 * MORE):
            content = film(70_000)
            answer = server.put(f"hasty-{number}.mp4", content)
            if answer.status == 201:
                assert_is_there(server, answer.json(), content)
            else:
                assert (answer.status, answer.code) == (503, "storage_unavailable")
                assert not names(server, f"hasty-{number}.")
    finally:
        sweeper.kill()
        sweeper.communicate()
    assert_nothing_is_left_over(server)


# The order of things


def test_an_upload_and_a_deletion_take_their_steps_in_order(server: MortalServer, film: Film) -> None:
    content = film(70_000)
    server.steps()
    first = server.put("one.mp4", content).json()
    assert server.steps() == [*STORING[:-2], Step.QUEUED, *STORING[-2:]]  # it is to be inspected
    twin = post(server, "two.mp4", content).json()
    assert server.steps() == [Step.ANSWERED]  # a twin has nothing to store
    for file, expected in ((first, []), (twin, DELETING)):
        assert delete(server, file).status == 204
        assert server.steps() == expected


@pytest.mark.local_disk
def test_the_system_is_asked_to_sync_before_people_see_the_file(
    start_server: StartServer, tmp_path: Path, film: Film
) -> None:
    """Watched from outside: content synced, then named, then its folder synced, and only then the row written."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    calls = "fdatasync,fsync,linkat,renameat,rename,write,pwrite64,sendto"
    server = start_server(wrapper=["strace", "-f", "-y", "-s", "4096", "-e", f"trace={calls}", "-o", str(trace)])
    server.put("warm-up.mp4", film(70_000))
    wait_until(lambda: b"HTTP/1.1 201" in trace.read_bytes())
    mark = len(trace.read_bytes())
    assert server.put("traced.mp4", film(70_000)).status == 201
    wait_until(lambda: b"HTTP/1.1 201" in trace.read_bytes()[mark:].rpartition(b"\n")[0])  # strace may lag behind
    lines = trace.read_bytes()[mark:].decode("latin-1").splitlines()

    media = re.escape(str(server.media))
    content_synced = first(lines, rf"fdatasync\(\d+<{media}[^>]*#\d+")
    linked = first(lines, r"linkat\(.*/proc/self/fd/\d+\".*AT_SYMLINK_FOLLOW")
    folder = re.search(rf'"{media}/(\w\w)/[-\w]+"', lines[linked])
    assert folder, lines[linked]
    folder_synced = first(lines, rf"fsync\(\d+<{media}/{folder[1]}>", after=linked)
    committed = first(lines, row_written(server), after=folder_synced)
    answered = first(lines, r"sendto\(\d+<[^>]*>, \"HTTP/1.1 201", after=committed)
    assert content_synced < linked < folder_synced < committed < answered
    # And the claim came before all of it.
    assert any(re.search(row_written(server), line) for line in lines[:content_synced])


def row_written(server: Server) -> str:
    """How a commit looks to the system: SQLite syncs its log, PostgreSQL is sent the word."""
    if server.database_url:
        return r"sendto\(.*COMMIT"
    return r"fdatasync\(\d+<[^>]*millrace\.sqlite3-wal>"


def first(lines: list[str], pattern: str, after: int = -1) -> int:
    for number, line in enumerate(lines):
        if number > after and re.search(pattern, line):
            return number
    raise AssertionError(f"nothing like {pattern} in:\n" + "\n".join(line[:200] for line in lines))


def test_uploads_cut_off_at_random_moments_leave_nothing(server: MortalServer, film: Film) -> None:
    """Not a step that somebody thought of, but any: the worker is killed while eight threads send."""
    kept: list[tuple[dict[str, str], bytes]] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            content = film(70_000)
            answer = answer_of(lambda: server.put("any.mp4", content))  # noqa: B023
            if answer is not None and answer.status == 201:
                kept.append((answer.json(), content))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: kept, 60)
    time.sleep(random.uniform(0, 1.2))
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    server.start()
    assert_nothing_is_left_over(server)
    for file, content in kept:
        assert_is_there(server, file, content)
