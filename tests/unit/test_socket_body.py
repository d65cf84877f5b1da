"""The body of a request, from gunicorn's socket and from a server that offers less."""

import hashlib
import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gunicorn.http.body import Body as WireBody
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import SocketUnreader
from hypothesis import given, settings
from hypothesis import strategies as st

from config.web_server.socket_io import WireInput
from tests.support.repetitions import MORE
from tests.support.request_bodies import MIB, NotWired, Wire, cut
from uploads.content.hashing import Sha256
from uploads.errors import IncompleteBody, TooSlow
from uploads.http.body import Body
from uploads.http.read_buffers import SMALL

lengths = st.integers(1, 5000) | st.sampled_from([SMALL - 1, SMALL, SMALL + 1, 300_000])
places = st.lists(st.integers(0, 10**6), max_size=8)


@settings(max_examples=30 * MORE, deadline=None)
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
    """A body whose beginning was read: this number of bytes is still to come."""
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
