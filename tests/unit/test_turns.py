"""Requests of one address begin a few at a time; those of others, and of proxies, do not wait for them."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from config.web_server.request_turns import AT_ONCE, COUNTS_FOR, Turns


@pytest.fixture
def started() -> list[TConn]:
    return []


@pytest.fixture
def turns(started: list[TConn]) -> Turns:
    return Turns(started.append)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def begin(turns: Turns, sockets: ExitStack, origin: str, count: int = 1) -> list[TConn]:
    made = []
    for _ in range(count):
        wire = sockets.enter_context(socket.socket())
        conn = TConn(Config(), wire, (origin, 1), ("127.0.0.1", 2))
        conn.origin = origin
        turns.begin(conn)
        made.append(conn)
    return made


def test_requests_of_one_address_begin_in_their_order_when_others_end(
    turns: Turns, started: list[TConn], sockets: ExitStack
) -> None:
    conns = begin(turns, sockets, "192.0.2.1", 10)
    for number in range(10):
        assert started == conns[: number + AT_ONCE]
        turns.end(conns[number])
        turns.end(conns[number])  # it waits for its client, and later has ended
    assert not turns.are_waited_for


def test_other_addresses_and_proxies_do_not_wait(turns: Turns, started: list[TConn], sockets: ExitStack) -> None:
    begin(turns, sockets, "192.0.2.1", 10)
    others = [*begin(turns, sockets, "192.0.2.2", AT_ONCE), *begin(turns, sockets, "", 10)]
    assert started[AT_ONCE:] == others


def test_a_request_that_takes_long_makes_nobody_wait_longer(
    turns: Turns, started: list[TConn], sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)  # a busy machine may take half a second for these lines
    conns = begin(turns, sockets, "192.0.2.1", 3 * AT_ONCE)
    turns.expire()
    assert started == conns[:AT_ONCE]
    later = now + COUNTS_FOR + 0.1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    turns.expire()
    assert started == conns[: 2 * AT_ONCE]
    for conn in conns:
        turns.end(conn)
    assert started == conns
