"""After an early answer the server waits for clients to close: for a limited number, and a limited time."""

import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from config.web_server.lingering_close import LINGER_SECONDS, MAX_LINGERING, Lingering


@pytest.fixture
def poller() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as made:
        yield made


@pytest.fixture
def lingering(poller: selectors.BaseSelector) -> Lingering:
    return Lingering(poller)


def closed(lingering: Lingering, *, wait: bool = True) -> socket.socket:
    """A client whose connection has just been closed."""
    client, wire = socket.socketpair()
    lingering.close(wire, wait=wait)
    client.settimeout(0)
    return client


def is_open(client: socket.socket) -> bool:
    """Whether somebody still takes what this client sends."""
    try:
        client.send(b"more")
    except ConnectionError:
        return False
    return True


def test_only_so_many_clients_are_lingered_for(lingering: Lingering, poller: selectors.BaseSelector) -> None:
    clients = [closed(lingering) for _ in range(MAX_LINGERING + 50)]
    assert [is_open(client) for client in clients] == [False] * 50 + [True] * MAX_LINGERING
    assert len(poller.get_map()) == MAX_LINGERING
    for client in clients:
        client.close()
    for key, _ in poller.select(0):
        key.data(key.fileobj)
    for key, _ in poller.select(0):
        key.data(key.fileobj)
    assert len(poller.get_map()) == 0


def test_who_made_room_for_another_is_not_heard_any_more(
    lingering: Lingering, poller: selectors.BaseSelector
) -> None:
    clients = [closed(lingering) for _ in range(MAX_LINGERING)]
    clients[0].close()
    told = poller.select(0)
    clients.append(closed(lingering))
    assert len(told) == 1
    for key, _ in told:
        key.data(key.fileobj)
    assert len(poller.get_map()) == MAX_LINGERING


def test_nobody_is_lingered_for_longer_than_so_many_seconds(
    lingering: Lingering, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [closed(lingering) for _ in range(3)]
    lingering.expire()
    assert all(map(is_open, clients))
    later = time.monotonic() + LINGER_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    lingering.expire()
    assert not any(map(is_open, clients))


def test_nobody_is_lingered_for_who_is_gone_or_was_heard_to_the_end(
    lingering: Lingering, poller: selectors.BaseSelector
) -> None:
    assert not is_open(closed(lingering, wait=False))
    client, wire = socket.socketpair()
    client.close()
    lingering.close(wire, wait=True)
    assert wire.fileno() == -1
    lingering.close(wire, wait=True)
    assert not poller.get_map()
