"""Connections are counted by address: one has a quarter of all places, an IPv6 /64 is one, proxies have no limit."""

import socket

import pytest

from config.web_server.connection_limits import ConnectionLimits


def admitted(limits: ConnectionLimits, address: str) -> str | None:
    ours, theirs = socket.socketpair()
    with theirs:
        origin = limits.admit(ours, (address, 1234))
        assert (ours.fileno() == -1) == (origin is None)
        ours.close()
    return origin


def count(limits: ConnectionLimits, *addresses: str) -> int:
    return sum(admitted(limits, address) is not None for address in addresses)


def test_one_address_may_have_a_quarter_of_all_places() -> None:
    limits = ConnectionLimits(40, None, [])
    assert count(limits, *["192.0.2.1"] * 30) == 10
    assert count(limits, "192.0.2.2") == 1


def test_a_setting_says_how_many() -> None:
    assert count(ConnectionLimits(40, 3, []), *["192.0.2.1"] * 30) == 3


def test_a_connection_that_ended_makes_room() -> None:
    limits = ConnectionLimits(40, 1, [])
    origin = admitted(limits, "192.0.2.1")
    assert origin is not None
    assert admitted(limits, "192.0.2.1") is None
    limits.release(origin)
    assert admitted(limits, "192.0.2.1") == origin


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, together: bool) -> None:
    assert count(ConnectionLimits(40, 1, []), one, other) == (1 if together else 2)


def test_trusted_proxies_are_not_limited() -> None:
    limits = ConnectionLimits(40, 1, ["10.0.0.0/8", "2001:db8::/32"])
    proxies = [*["10.1.2.3"] * 9, *["2001:db8::1"] * 9, *["::ffff:10.1.2.3"] * 9]
    assert count(limits, *proxies, *["192.0.2.1"] * 9) == 28
    limits.release(admitted(limits, "10.1.2.3") or "")
