"""Bytes on their fast way: from the socket into buffers, into the hash beside the write, and on to the medium."""

import hashlib
import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gunicorn.http.body import Body as WireBody
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import SocketUnreader
from hypothesis import given, settings
from hypothesis import strategies as st

from config.web_server.socket_io import WireInput
from tests.support.request_bodies import MIB, NotWired, Wire, cut
from uploads.content import hashing
from uploads.content.hashing import PARALLEL_SIZE, Sha256
from uploads.errors import IncompleteBody, TooSlow
from uploads.http.body import Body
from uploads.http.read_buffers import FAST, LARGE, SMALL, TINY, Budget, Buffers
from uploads.sinks.local import writeback
from uploads.sinks.local.writeback import WINDOW, WriteBack

# Buffers


def fill(buffers: Buffers, part: float, times: int = 1) -> int:
    """Use this part of each buffer. The size of the last one."""
    size = 0
    for _ in range(times):
        size = len(buffers.take())
        buffers.filled(int(size * part))
    return size


def alone(speed: int = 0) -> Buffers:
    return Buffers(speed, Budget(64 * MIB))


def test_buffers_are_small_at_first() -> None:
    assert fill(alone(), 1) == SMALL


def test_buffers_are_large_at_once_for_a_client_that_was_fast_just_before() -> None:
    assert fill(alone(FAST), 1) == LARGE
    assert fill(alone(FAST - 1), 1) == SMALL


def test_buffers_grow_for_a_client_that_fills_them_all_the_time() -> None:
    buffers = alone()
    sizes = [fill(buffers, 1) for _ in range(300)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == LARGE
    # The first few megabytes, which any client may send at full speed, are no reason.
    assert set(sizes[: 4 * MIB // SMALL]) == {SMALL}


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.99])
def test_buffers_stay_small_for_a_client_that_does_not_fill_them(part: float) -> None:
    assert fill(alone(), part, 1000) == SMALL


def test_buffers_stay_small_for_a_client_that_is_fast_only_now_and_then() -> None:
    buffers = alone()
    for _ in range(50):
        assert fill(buffers, 1, 30) == SMALL
        assert fill(buffers, 0.5) == SMALL


def test_buffers_shrink_when_the_client_slows_down() -> None:
    buffers = alone()
    assert fill(buffers, 1, 300) == LARGE
    fill(buffers, 0.01, 10)
    assert fill(buffers, 0.01) == SMALL
    assert fill(buffers, 1, 10) == SMALL


def test_buffers_do_not_shrink_for_one_pause() -> None:
    buffers = alone()
    fill(buffers, 1, 300)
    fill(buffers, 0.01, 3)
    assert fill(buffers, 1) == LARGE


fillings = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 0.2, 0.26, 0.5, 0.99, 1.0]), st.integers(1, 90)), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(fillings, st.sampled_from([0, FAST]))
def test_what_may_still_be_hashed_is_never_filled_again(parts: list[tuple[float, int]], speed: int) -> None:
    """A piece of PARALLEL_SIZE bytes or more stays as it is until the piece after the next is asked for."""
    buffers, sizes = alone(speed), set()
    last: memoryview | None = None
    for number, part in enumerate(part for part, times in parts for _ in range(times)):
        buffer = buffers.take()
        sizes.add(len(buffer))
        mark = number.to_bytes(4, "big")
        count = int(len(buffer) * part)
        buffer[:4] = mark
        if last is not None and len(last) >= PARALLEL_SIZE:
            assert bytes(last[:4]) == (number - 1).to_bytes(4, "big")
        buffers.filled(count)
        last = buffer[:count]
    assert sizes <= {SMALL, 4 * SMALL, LARGE}


def in_turns(crowd: list[Buffers], rounds: int, part: float = 1) -> list[int]:
    """All of a crowd use this part of their buffers, again and again. The sizes of the last ones."""
    for _ in range(rounds):
        sizes = [fill(buffers, part) for buffers in crowd]
    return sizes


@pytest.mark.parametrize("clients", [1, 10, 100, 500, 1000, 3000])
def test_the_buffers_of_a_crowd_that_is_fast_at_once_keep_to_their_budget(clients: int) -> None:
    shared = Budget(64 * MIB)
    crowd = [Buffers(0, shared) for _ in range(clients)]
    for _ in range(3):
        sizes = in_turns(crowd, 70)
        assert shared.taken <= 64 * MIB
    expected = {1: LARGE, 10: LARGE, 100: 4 * SMALL, 500: SMALL, 1000: SMALL, 3000: TINY}[clients]
    assert min(sizes) == expected
    for buffers in crowd:
        buffers.close()
    assert (shared.taken, shared.share) == (0, 64 * MIB)


def test_a_fast_client_among_many_that_trickle_has_a_large_buffer() -> None:
    shared = Budget(64 * MIB)
    crowd = [Buffers(0, shared) for _ in range(500)]
    in_turns(crowd, 10, 0.1)
    assert fill(Buffers(0, shared), 1, 300) == LARGE


def test_large_buffers_shrink_when_others_become_fast() -> None:
    shared = Budget(8 * MIB)
    first = Buffers(0, shared)
    assert fill(first, 1, 300) == LARGE
    others = [Buffers(FAST, shared) for _ in range(20)]
    in_turns(others, 3)
    fill(first, 1)
    assert fill(first, 1) == SMALL
    assert shared.taken <= 8 * MIB


def test_nobody_waits_for_a_budget_that_is_spent() -> None:
    shared = Budget(0)
    assert {fill(Buffers(FAST, shared), 1, 100) for _ in range(10)} == {TINY}


@pytest.mark.parametrize("size", [SMALL, 256 * 1024, 3 * MIB, 8 * MIB])
def test_buffers_of_a_fixed_size_keep_it_whatever_the_client_does(size: int) -> None:
    for speed in (0, FAST):
        shared = Budget(64 * MIB)
        shared.chunk_size = size
        buffers = Buffers(speed, shared)
        assert {fill(buffers, part) for part in (1, 0.01, 1, 0.01) for _ in range(100)} == {size}
        buffers.close()
        assert shared.taken == 0


@pytest.mark.parametrize("clients", [10, 500, 3000])
def test_buffers_of_a_fixed_size_keep_to_the_budget_too(clients: int) -> None:
    shared = Budget(64 * MIB)
    shared.chunk_size = 8 * MIB
    crowd = [Buffers(0, shared) for _ in range(clients)]
    for _ in range(3):
        sizes = in_turns(crowd, 3)
        assert shared.taken <= 64 * MIB
    assert min(sizes) <= 8 * MIB // 4
    for buffers in crowd[1:]:
        buffers.close()
    assert fill(crowd[0], 1, 3) == 8 * MIB  # when the others have gone


# SHA-256

pieces_of_any_size = st.lists(
    st.integers(0, 3000) | st.sampled_from([PARALLEL_SIZE - 1, PARALLEL_SIZE, PARALLEL_SIZE + 1, MIB]), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(pieces_of_any_size, st.integers())
def test_the_digest_is_the_one_of_hashlib(sizes: list[int], seed: int) -> None:
    pieces = [random.Random(seed).randbytes(size) for size in sizes]
    ours = Sha256()
    for piece in pieces:
        ours.update(memoryview(piece))
    assert ours.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_digest_may_be_asked_for_in_between() -> None:
    ours, content = Sha256(), os.urandom(2 * MIB)
    ours.update(content[:MIB])
    assert ours.hexdigest() == hashlib.sha256(content[:MIB]).hexdigest()
    ours.update(content[MIB:])
    assert ours.hexdigest() == hashlib.sha256(content).hexdigest()


def _digest(seed: int) -> bool:
    sizes = random.Random(seed)
    ours, theirs = Sha256(), hashlib.sha256()
    buffers = bytearray(MIB), bytearray(MIB)
    for number in range(20):
        buffer = memoryview(buffers[number % 2])[: sizes.choice([100, 64 * 1024, PARALLEL_SIZE, MIB])]
        buffer[:] = sizes.randbytes(len(buffer))
        ours.update(buffer)
        theirs.update(buffer)
    return ours.hexdigest() == theirs.hexdigest()


def test_many_uploads_at_once_share_the_helpers() -> None:
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(_digest, range(64)))
    assert_helpers_are_idle()


@contextmanager
def busy_helpers() -> Iterator[None]:
    taken = 0
    while hashing._idle_helpers.acquire(blocking=False):
        taken += 1
    yield
    for _ in range(taken):
        hashing._idle_helpers.release()


def assert_helpers_are_idle() -> None:
    with busy_helpers():
        pass
    with pytest.raises(ValueError):  # released more often than acquired, if none was missing
        hashing._idle_helpers.release()


def hashing_threads() -> int:
    return sum(thread.name.startswith("sha256") for thread in threading.enumerate())


def test_with_every_helper_busy_hashing_goes_on_in_place() -> None:
    content = os.urandom(MIB)
    ours = Sha256()
    with busy_helpers():
        ours.update(content)
        assert ours._pending is None
    ours.update(content)
    assert ours.hexdigest() == hashlib.sha256(content * 2).hexdigest()


def test_there_are_no_more_helpers_than_cores() -> None:
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(_digest, range(16)))
    assert hashing_threads() <= max(1, hashing.CORES - 1)


# Write-back


@pytest.fixture
def content() -> bytes:
    return random.Random(1).randbytes(5 * WINDOW + 12_345)


def write_steadily(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        back, offset = WriteBack(fd, 0), 0
        while offset < len(content):
            offset += os.write(fd, content[offset : offset + 3_000_000])
            back.wrote(offset)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def test_write_back_leaves_the_content_as_it_is(tmp_path: Path, content: bytes) -> None:
    write_steadily(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


def test_without_sync_file_range_the_content_is_the_same(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writeback, "_sync_file_range", None)
    write_steadily(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


def test_where_there_is_no_linux_there_is_no_write_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert writeback._find_sync_file_range() is None


@dataclass
class Pushes:
    calls: list[tuple[int, int]]

    def __call__(self, fd: int, offset: int, size: int, flags: int) -> int:
        assert size == WINDOW
        self.calls.append((offset, flags))
        return 0


def test_each_window_is_pushed_out_once_and_waited_for_one_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = Pushes([])
    monkeypatch.setattr(writeback, "_sync_file_range", pushes)
    with (tmp_path / "file").open("wb") as file:
        back = WriteBack(file.fileno(), 0)
        for offset in (1000, WINDOW - 1, WINDOW, WINDOW + 1, 4 * WINDOW - 1):
            back.wrote(offset)
    pushed = [offset for offset, flags in pushes.calls if flags == writeback._WRITE]
    waited = [offset for offset, flags in pushes.calls if flags != writeback._WRITE]
    assert pushed == [0, WINDOW, 2 * WINDOW]
    assert waited == [0, WINDOW]


def test_a_resumed_file_is_pushed_out_from_the_window_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = Pushes([])
    monkeypatch.setattr(writeback, "_sync_file_range", pushes)
    with (tmp_path / "file").open("wb") as file:
        WriteBack(file.fileno(), 3 * WINDOW + 5).wrote(4 * WINDOW + 5)
    assert (3 * WINDOW, writeback._WRITE) in pushes.calls


def test_what_cannot_be_pushed_out_is_no_failure() -> None:
    reading, writing = os.pipe()  # a pipe cannot be pushed anywhere
    WriteBack(writing, 0).wrote(4 * WINDOW)
    os.close(reading)
    os.close(writing)


# The body, from a socket and from a server that offers less


lengths = st.integers(1, 5000) | st.sampled_from([SMALL - 1, SMALL, SMALL + 1, 300_000])
places = st.lists(st.integers(0, 10**6), max_size=8)


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(0, 20_000), places, st.integers())
def test_a_body_is_the_same_however_it_comes(length: int, ahead: int, places: list[int], seed: int) -> None:
    content = random.Random(seed).randbytes(length)
    early, late = content[:ahead], content[ahead:]
    with Wire(length, early) as wire:
        sender = threading.Thread(target=lambda: deque(map(wire.client.sendall, cut(late, places))))
        sender.start()
        assert wire.read() == content
        sender.join()
        assert not wire.input.is_unread
    portable = {"wsgi.input": NotWired(content), "CONTENT_LENGTH": str(length)}
    assert b"".join(map(bytes, Body(portable, idle_timeout=5).pieces())) == content


def test_a_fast_body_of_many_megabytes_is_the_same() -> None:
    content = random.Random(2).randbytes(24 * MIB)
    with Wire(len(content)) as wire:
        sender = threading.Thread(target=wire.client.sendall, args=[content])
        sender.start()
        ours, received = Sha256(), 0
        for piece in Body(wire.environ, idle_timeout=5).pieces():
            ours.update(piece)
            received += len(piece)
        sender.join()
    assert received == len(content)
    assert ours.hexdigest() == hashlib.sha256(content).hexdigest()


def test_what_came_with_the_headers_is_there_without_waiting_for_more() -> None:
    with Wire(1_000_000, b"film") as wire:
        wire.client.sendall(bytes(200_000 // 4))
        buffer = memoryview(bytearray(SMALL))
        assert wire.input.readinto(buffer) == 4
        assert bytes(buffer[:4]) == b"film"
        assert wire.body.reader.unreader.buf.tell() == 0  # and nothing is gathered on the side
        assert wire.input.readinto(buffer) > 0
        assert wire.input.is_unread


def test_ways_to_read_may_be_mixed() -> None:
    content = random.Random(3).randbytes(10_000)
    with Wire(len(content), content[:3000]) as wire:
        wire.client.sendall(content[3000:])
        buffer = memoryview(bytearray(500))
        found = wire.input.read(100)
        found += bytes(buffer[: wire.input.readinto(buffer)])
        found += wire.input.read(50)
        while count := wire.input.readinto(buffer):
            found += bytes(buffer[:count])
        assert found == content


def test_a_request_behind_the_body_is_left_for_the_server() -> None:
    content, behind = b"film" * 1000, b"GET /healthz HTTP/1.1\r\n\r\n"
    for ahead in (0, 10, len(content), len(content) + 5, len(content) + len(behind)):
        sent = content + behind
        with Wire(len(content), sent[:ahead]) as wire:
            wire.client.sendall(sent[ahead:])
            assert wire.read() == content
            unreader = wire.body.reader.unreader
            left = unreader.take_buffered()
            if len(left) < len(behind):
                left += unreader.chunk()
            assert left == behind


@pytest.mark.parametrize("ahead", [0, 1, 700, 5_000])
def test_a_body_that_ends_early_is_incomplete(ahead: int) -> None:
    content = os.urandom(70_000)
    with Wire(100_000, content[:ahead]) as wire:
        wire.client.sendall(content[ahead:])
        wire.client.shutdown(socket.SHUT_WR)
        with pytest.raises(IncompleteBody, match="has 70,000 bytes, but 100,000 were announced"):
            wire.read()


@pytest.mark.parametrize("ahead", [0, 700])
def test_a_body_that_stops_is_too_slow(ahead: int) -> None:
    with Wire(100_000, bytes(ahead), idle_timeout=0.1) as wire, pytest.raises(TooSlow):
        wire.read()


def test_a_body_that_stops_after_it_has_come_for_a_while_is_too_slow() -> None:
    with Wire(100_000, b"", idle_timeout=0.1) as wire:
        wire.client.sendall(bytes(700))
        pieces = Body(wire.environ, idle_timeout=0.1).pieces()
        assert len(next(pieces)) == 700
        wire.client.sendall(bytes(300))  # the first may have been there before anybody waited; this is a sign of life
        assert len(next(pieces)) == 300
        with pytest.raises(TooSlow):
            next(pieces)


@contextmanager
def under_way(left: int, idle_timeout: float = 5) -> Iterator[tuple[Wire, memoryview]]:
    """A body whose beginning was read: so many bytes of it are to come."""
    begun = 2 * SMALL
    with Wire(begun + left, idle_timeout=idle_timeout) as wire:
        buffer = memoryview(bytearray(SMALL))
        for part in (begun - 1, 1):  # what is there before anybody reads is no sign of life
            wire.client.sendall(bytes(part))
            while part:
                part -= wire.input.readinto(buffer[:part])
        yield wire, buffer


def test_what_trickles_is_taken_together() -> None:
    with under_way(left=200) as (wire, buffer):
        wire.client.sendall(b"a" * 100)
        later = threading.Timer(0.1, lambda: wire.client.sendall(b"b" * 100))
        later.start()
        assert wire.input.readinto(buffer) == 200
        assert bytes(buffer[:200]) == b"a" * 100 + b"b" * 100
        later.join()


def test_what_trickles_is_not_waited_for_until_it_is_much() -> None:
    with under_way(left=1000, idle_timeout=0.4) as (wire, buffer):
        wire.client.sendall(b"a" * 100)
        assert wire.input.readinto(buffer) == 100


def test_a_client_that_stops_under_way_is_waited_for_as_long_as_any() -> None:
    with under_way(left=1000, idle_timeout=2) as (wire, buffer):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            wire.input.readinto(buffer)
        assert time.monotonic() - began >= 1.95
        later = threading.Timer(1.3, lambda: wire.client.sendall(b"a" * 100))  # more than a moment, less than all
        later.start()
        assert wire.input.readinto(buffer) == 100
        later.join()


def test_a_connection_that_breaks_is_incomplete() -> None:
    with Wire(100_000) as wire:
        wire._server.shutdown(socket.SHUT_RDWR)
        with pytest.raises(IncompleteBody):
            wire.read()


def test_a_client_is_asked_for_its_body_at_the_first_read_and_once() -> None:
    with Wire(8, expects_continue=True) as wire:
        body = Body(wire.environ, idle_timeout=5)
        wire.client.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.client.recv(100)
        wire.client.sendall(b"filmfilm")
        assert b"".join(map(bytes, body.pieces())) == b"filmfilm"
        assert wire.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("way", ["read", "readline", "readlines", "__iter__", "readinto"])
def test_whatever_reads_first_asks_for_the_body(way: str) -> None:
    with Wire(5, expects_continue=True) as wire:
        wire.client.sendall(b"film\n")
        if way == "readinto":
            assert wire.input.readinto(memoryview(bytearray(5))) == 5
        else:
            assert b"".join(_listed(getattr(wire.input, way)())) == b"film\n"
        assert wire.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def _listed(found: Any) -> list[bytes]:
    return [found] if isinstance(found, bytes) else list(found)


def test_a_chunked_body_is_read_as_every_server_reads_it() -> None:
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(5)
        body = WireBody(ChunkedReader(None, SocketUnreader(server)))
        given = WireInput(body, server, False, idle_timeout=5)
        client.sendall(b"4\r\nfilm\r\n3\r\nend\r\n0\r\n\r\n")
        assert given.is_unread
        assert not given.can_read_into
        environ = {"wsgi.input": given, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        assert b"".join(map(bytes, Body(environ, idle_timeout=5).pieces())) == b"filmend"
        assert not given.is_unread
