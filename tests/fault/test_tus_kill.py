"""Resumable uploads whose server is killed: each goes on at the right byte and becomes its file, exactly once."""

import http.client
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_server import partial_uploads
from tests.support.killable_server import MortalServer
from tests.support.processes import children, kill
from tests.support.running_servers import running_pair
from tests.support.server import Answer, Server, Template, query
from tests.support.tus_client import OCTETS, UPLOADS, Client, checksum, metadata
from tests.support.upload_locks import can_lock
from tests.support.waiting import wait_until
from uploads.sinks.crash_points import Step

Film = Callable[..., bytes]
SEED = os.environ.get("TUS_KILL_SEED") or str(random.randrange(10**6))
STORING = [Step.CLAIMED, Step.SYNCED, Step.LINKED, Step.DIRECTORY_SYNCED, Step.STORED, Step.ANSWERED]
SLICE = 64 * 1024
KB, MB = 1000, 1_000_000


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalServer]:
    home = tmp_path_factory.mktemp("mortal") / "home"
    mortal = MortalServer(
        home, template.tokens, template.copy_to(home), config="tests.support.gunicorn_configs.killed_at_a_step"
    )
    mortal.alone = True
    mortal.start()
    yield mortal
    mortal.end()


@pytest.fixture
def client(server: MortalServer) -> Client:
    return Client(server)


LEFT = {
    "not stored": "SELECT COUNT(*) FROM uploads_blob WHERE state <> 'stored'",
    "unused": "SELECT COUNT(*) FROM uploads_blob WHERE id NOT IN (SELECT blob_id FROM uploads_mediafile)",
    "unfinished": "SELECT COUNT(*) FROM uploads_upload WHERE state <> 'complete'",
    "reserved": "SELECT COUNT(*) FROM uploads_upload WHERE reserved <> 0",
    "doubled": "SELECT COUNT(*) FROM uploads_mediafile WHERE id NOT IN (SELECT file_id FROM uploads_upload)",
}


def assert_nothing_is_left_over(server: Server) -> None:
    """Every upload is a file: no bytes, note, claim or reservation beside, though nobody has swept."""
    assert {left: query(server, statement)[0][0] for left, statement in LEFT.items()} == dict.fromkeys(LEFT, 0)
    keys = sorted(key for [key] in query(server, "SELECT key FROM uploads_blob"))
    assert sorted(path.name for path in server.stored_bytes()) == keys


def assert_fsck_is_content(server: Server) -> None:
    assert server.manage("fsck", "--deep", "--grace", "0").returncode == 0


def files_named(server: Server, name: str) -> list[Any]:
    found: list[Any] = server.get(f"/api/v1/files/?q={name}", user="alice").json()["results"]
    return found


def partial_of(server: Server) -> Path:
    """The partial of the only upload on its way."""
    [path] = [path for path in (server.media / "partial").iterdir() if path.suffix != ".note"]
    return path


def answer_of(send: Callable[[], Answer]) -> Answer | None:
    """None when the server died before it answered."""
    try:
        return send()
    except (OSError, http.client.HTTPException):
        return None


# At any moment


@dataclass(frozen=True)
class Way:
    """How a client sends its bytes."""

    size: int
    piece: int = 10**9  # of a PATCH; more than there is: all in one
    algorithm: str = ""  # of the checksum of every piece
    deferred: bool = False  # the length comes with the last piece
    afterwards: bool = False  # or with an empty one behind it
    creating: bool = False  # the first piece comes with the creation
    chunked: bool = False
    beginning: int = 0  # so many pieces of one byte first


WAYS = {
    "one large PATCH": Way(20 * MB),
    "one large PATCH, chunked": Way(12 * MB, chunked=True),
    "one large PATCH with a checksum": Way(10 * MB, algorithm="sha1"),
    "one large PATCH, chunked with a checksum": Way(8 * MB, algorithm="sha256", chunked=True),
    "many small": Way(1 * MB, 20 * KB),
    "many small with checksums": Way(1 * MB, 20 * KB, algorithm="md5"),
    "many small, chunked": Way(1 * MB, 20 * KB, chunked=True),
    "megabytes": Way(8 * MB, 1 * MB),
    "megabytes with checksums": Way(8 * MB, 1 * MB, algorithm="sha1"),
    "megabytes, chunked with checksums": Way(6 * MB, 1 * MB, algorithm="md5", chunked=True),
    "odd sizes": Way(3 * MB, 65_537),
    "single bytes first": Way(2 * MB, 400 * KB, beginning=10),
    "length at the end": Way(5 * MB, 700 * KB, deferred=True),
    "length with the only PATCH": Way(10 * MB, deferred=True),
    "length after the end": Way(4 * MB, 1 * MB, deferred=True, afterwards=True),
    "length at the end, chunked with checksums": Way(4 * MB, 1 * MB, deferred=True, algorithm="sha256", chunked=True),
    "all with the creation": Way(10 * MB, creating=True),
    "creation with the first piece": Way(6 * MB, 2 * MB, creating=True),
    "creation with the first piece, chunked, length at the end": Way(
        5 * MB, 2 * MB, creating=True, chunked=True, deferred=True
    ),
    "creation with the first piece, with checksums": Way(6 * MB, 2 * MB, creating=True, algorithm="sha1"),
}
ROUNDS = [list(WAYS)[start::4] for start in range(4)]


@dataclass
class Sender:
    """A client that comes back until its upload is whole. On its way it kills the server once."""

    client: Client
    way: Way
    content: bytes
    kill: Callable[[], None]
    kill_at: int  # bytes sent before
    key: str
    path: str = ""
    offset: int = 0  # the server has acknowledged so much
    sent: int = 0  # of the content, at most so much is on its way
    total: int = 0  # bytes sent, some of them twice
    resumed: list[int] = field(default_factory=list)

    def run(self) -> None:
        while self.offset < len(self.content) or self._lacks_length():
            try:
                self._go_on()
            except (OSError, http.client.HTTPException):
                self._come_back()

    def _lacks_length(self) -> bool:
        return self.way.afterwards and self.client.look(self.path)["state"] != "complete"

    def _go_on(self) -> None:
        start, end = self.offset, self._end_of_piece()
        piece = self.content[start:end]
        headers: dict[str, str | None] = {**checksum(piece, self.way.algorithm)} if self.way.algorithm else {}
        if not self.path:
            self._create(piece if self.way.creating else b"", headers)
            return
        is_last = start == end if self.way.afterwards else end == len(self.content)
        if self.way.deferred and is_last:
            headers["Upload-Length"] = str(len(self.content))
        answer = self._send("PATCH", self.path, piece, headers)
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(end)), answer
        self.offset = end

    def _end_of_piece(self) -> int:
        size = 1 if self.offset < self.way.beginning else self.way.piece
        return min(self.offset + size, len(self.content))

    def _create(self, piece: bytes, headers: dict[str, str | None]) -> None:
        length = {"Upload-Defer-Length": "1"} if self.way.deferred else {"Upload-Length": str(len(self.content))}
        content_type = {"Content-Type": OCTETS if piece else None, "Upload-Offset": None}
        headers = {**(headers if piece else {}), **length, **content_type, "Idempotency-Key": self.key}
        send = self._send if piece else self.client.ask
        answer = send("POST", UPLOADS, piece, headers)
        assert answer.status == 201, answer
        self.path = answer.headers["Location"]
        if "Idempotency-Replayed" in answer.headers:
            self._come_back()  # some of it may have come with the first request
        else:
            assert int(answer.headers["Upload-Offset"] or 0) == len(piece)
            self.offset = len(piece)

    def _send(self, method: str, path: str, piece: bytes, headers: dict[str, str | None]) -> Answer:
        start, length = self.offset, None if self.way.chunked else len(piece)
        with self.client.begin(path, start, length, headers, method) as line:
            for at in range(0, len(piece), SLICE):
                if line.has_answer():  # a creation that was carried out before wants no body
                    break
                part = piece[at : at + SLICE]
                line.send(part)
                self.sent = max(self.sent, start + at + len(part))
                self._perhaps_kill(len(part))
            else:
                if line.chunked:
                    line.end()
            return line.answer()

    def _perhaps_kill(self, more: int) -> None:
        before, self.total = self.total, self.total + more
        if before < self.kill_at <= self.total:
            self.kill()

    def _come_back(self) -> None:
        if not self.path:
            return  # whether there is an upload, the next creation will tell
        offset = self.client.offset(self.path)
        if self.way.algorithm:  # none of a piece, or all of it
            assert offset in {self.offset, self._end_of_piece()}
        assert self.offset <= offset <= self.sent, (self.offset, offset, self.sent)
        self.offset = offset
        self.resumed.append(offset)


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_uploads_of_every_kind_go_on_after_a_kill_at_a_random_moment(
    server: MortalServer, client: Client, film: Film, number: int
) -> None:
    for name in ROUNDS[number]:
        way, chance = WAYS[name], random.Random(f"{SEED} {name}")
        kill_at, pause, how = chance.randint(1, way.size), chance.uniform(0, 0.005), chance.choice(["tree", "worker"])
        print(f"TUS_KILL_SEED={SEED}: {name}: the {how} dies {pause:.4f} s after byte {kill_at}")  # noqa: T201

        def kill(pause: float = pause, how: str = how) -> None:
            time.sleep(pause)
            server.restart() if how == "tree" else kill_worker(server)

        content = film(way.size)
        sender = Sender(client, way, content, kill, kill_at, key=f"{name} {random.random()}")
        sender.run()
        print(f"resumed at {sender.resumed}")  # noqa: T201
        assert sender.total >= kill_at
        assert client.is_complete(sender.path, content)
    assert_nothing_is_left_over(server)
    assert_fsck_is_content(server)


def kill_worker(server: Server) -> None:
    """Its parent starts another, on the same port: whoever comes meanwhile has to wait."""
    [worker] = children(server.pid)
    kill(worker)
    wait_until(lambda: answer_of(lambda: server.get("/healthz")) is not None)


def test_a_checked_piece_is_not_kept_when_the_server_dies_within_it(
    server: MortalServer, client: Client, film: Film
) -> None:
    content = film(10 * MB)
    path = client.new(len(content))
    for start in (0, MB):
        claim = checksum(content[start:], "sha256")
        with client.begin(path, start, len(content) - start, claim) as line:
            line.send(content[start : 9 * MB])  # more than any buffer on the way holds
            server.restart()
        assert client.offset(path) == start
        assert client.patch(path, start, content[start : start + MB]).status == 204
    assert client.finish(path, content) == 2 * MB
    assert_nothing_is_left_over(server)


# At every step of becoming a file. What dies is the worker; whoever asks then waits until its parent has another.


def begun(client: Client, content: bytes, name: str, size: int | None = None) -> str:
    """An upload of which a part has come."""
    path = client.new(size, metadata(filename=name))
    assert client.patch(path, 0, content[:100_000]).status == 204
    return path


def assert_is_one_file(client: Client, path: str, content: bytes, name: str) -> None:
    assert client.is_complete(path, content)
    assert len(files_named(client.server, name)) == 1
    assert client.patch(path, len(content), b"").status == 204
    assert len(files_named(client.server, name)) == 1


@pytest.mark.local_disk
@pytest.mark.parametrize(
    ("step", "claimed"),
    [*((step, False) for step in STORING), *((step, True) for step in (Step.CLAIMED, Step.SYNCED, Step.LINKED))],
)
def test_a_kill_at_any_step_of_the_end_makes_one_file(
    server: MortalServer, client: Client, film: Film, step: Step, claimed: bool
) -> None:
    content, name = film(250_000), f"{step}-{claimed}.mp4"
    path = begun(client, content, name, len(content))
    rest = content[100_000:]
    server.die_at(step)
    assert answer_of(lambda: client.patch(path, 100_000, rest, checksum(rest) if claimed else None)) is None
    assert not server.is_alive_at()
    assert client.offset(path) == len(content)
    assert_is_one_file(client, path, content, name)
    assert_nothing_is_left_over(server)


@pytest.mark.local_disk
@pytest.mark.parametrize(
    ("first", "second"),
    [(Step.CLAIMED, Step.CLAIMED), (Step.CLAIMED, Step.LINKED), (Step.LINKED, Step.STORED)],
)
def test_a_kill_of_whoever_mends_the_first_makes_one_file(
    server: MortalServer, client: Client, film: Film, first: Step, second: Step
) -> None:
    content, name = film(250_000), f"{first}-{second}.mp4"
    path = begun(client, content, name, len(content))
    server.die_at(first)
    assert answer_of(lambda: client.patch(path, 100_000, content[100_000:])) is None
    server.die_at(second)
    assert answer_of(lambda: client.head(path)) is None
    assert client.offset(path) == len(content)
    assert_is_one_file(client, path, content, name)
    assert_nothing_is_left_over(server)


@pytest.mark.local_disk
@pytest.mark.parametrize("step", [Step.CLAIMED, Step.STORED])
def test_a_kill_when_the_length_comes_after_the_end_makes_one_file(
    server: MortalServer, client: Client, film: Film, step: Step
) -> None:
    content, name = film(100_000), f"late-{step}.mp4"
    path = begun(client, content, name)
    server.die_at(step)
    length = {"Upload-Length": str(len(content))}
    assert answer_of(lambda: client.patch(path, len(content), b"", length)) is None
    assert client.offset(path) == len(content)
    assert_is_one_file(client, path, content, name)
    assert_nothing_is_left_over(server)


@pytest.mark.local_disk
def test_a_kill_when_the_bytes_are_here_already_makes_one_file_more(
    server: MortalServer, client: Client, film: Film
) -> None:
    content = film(250_000)
    client.finish(client.new(len(content)), content)
    path = begun(client, content, "twin.mp4", len(content))
    server.die_at(Step.ANSWERED)  # the only one that is reached
    assert answer_of(lambda: client.patch(path, 100_000, content[100_000:])) is None
    assert client.offset(path) == len(content)
    assert_is_one_file(client, path, content, "twin.mp4")
    assert_nothing_is_left_over(server)


# After the last byte, and before the first step


def whole_and_not_stored(server: MortalServer, client: Client, content: bytes, name: str) -> str:
    """An upload whose server died when all bytes were written, and nothing else done. Nobody serves it."""
    path = begun(client, content, name, len(content))
    with client.sending(path, content[100_000:150_000], offset=100_000):
        server.kill()
    wait_until(lambda: can_lock(partial_of(server)))  # who was killed has still to die, on a busy machine
    with partial_of(server).open("ab") as partial:  # what it would have written in its last moment
        partial.write(content[partial.tell() :])
    return path


@pytest.mark.local_disk
def test_bytes_that_are_all_here_become_a_file_when_their_client_comes_back(
    server: MortalServer, client: Client, film: Film
) -> None:
    content = film(3 * MB)
    path = whole_and_not_stored(server, client, content, "whole.mp4")
    server.start()
    assert client.offset(path) == len(content)
    assert_is_one_file(client, path, content, "whole.mp4")
    assert_nothing_is_left_over(server)


@pytest.mark.local_disk
@pytest.mark.parametrize("later", [partial_uploads.recover_minutes_later, partial_uploads.expire_a_week_later])
def test_bytes_that_are_all_here_become_a_file_though_nobody_comes_back(
    server: MortalServer, client: Client, film: Film, later: Callable[[], None]
) -> None:
    content = film(3 * MB)
    path = whole_and_not_stored(server, client, content, "lonely.mp4")
    server.call(later)
    server.start()
    assert client.is_complete(path, content)
    assert client.patch(path, len(content), b"").status == 204
    assert_nothing_is_left_over(server)


@pytest.mark.local_disk
@pytest.mark.parametrize("step", [Step.CLAIMED, Step.LINKED])
def test_a_file_half_stored_is_stored_though_nobody_comes_back(
    server: MortalServer, client: Client, film: Film, step: Step
) -> None:
    content, name = film(250_000), f"half-{step}.mp4"
    path = begun(client, content, name, len(content))
    server.die_at(step)
    assert answer_of(lambda: client.patch(path, 100_000, content[100_000:])) is None
    server.call(partial_uploads.recover_minutes_later)
    assert_is_one_file(client, path, content, name)
    assert_nothing_is_left_over(server)


@pytest.mark.local_disk
def test_all_who_come_back_at_once_find_one_file(template: Template, tmp_path: Path, film: Film) -> None:
    content = film(3 * MB)
    with running_pair(template, tmp_path) as servers, ThreadPoolExecutor(8) as pool:
        clients = [Client(server) for server in servers]
        for number in range(5):
            name = f"crowd-{number}.mp4"
            path = begun(clients[0], content, name, len(content))
            with partial_of(servers[0]).open("ab") as partial:
                partial.write(content[100_000:])
            answers = list(pool.map(lambda number: clients[number % 2].head(path), range(8)))  # noqa: B023
            assert {answer.status for answer in answers} <= {200, 423}, answers
            wait_until(lambda: clients[1].offset(path) == len(content))  # noqa: B023
            assert_is_one_file(clients[1], path, content, name)
            content = film(3 * MB)
        assert_nothing_is_left_over(servers[0])
        assert_fsck_is_content(servers[0])
