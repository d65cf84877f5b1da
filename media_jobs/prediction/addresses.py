"""Resolves the name of a model server once, and checks every address that it has.

The connection then goes to one of these addresses, not to the name: a name that changes its addresses after the check
("DNS rebinding") changes nothing.
"""

import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Resolver = Callable[[str, int], Sequence[str]]
Address = IPv4Address | IPv6Address

TICK = 0.25  # seconds between two calls of `check`
_NAT64 = [IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")]
# Services of clouds that give credentials to who asks them. All other link-local addresses are refused, too.
_METADATA = {ip_address("169.254.169.254"), ip_address("100.100.100.200"), ip_address("fd00:ec2::254")}


class ForbiddenAddress(Exception):
    """Says what is wrong with the address, without naming it: owners of jobs are shown it."""


def system_resolver(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def allowed_addresses(
    host: str, port: int, *, allows_private: bool, resolver: Resolver, check: Callable[[], None], deadline: float,
    clock: Callable[[], float],
) -> Sequence[str]:  # fmt: skip
    """The addresses of this host. Raises ForbiddenAddress if one of them is not allowed, OSError if there is none."""
    found = _resolve(host, port, resolver, check, lambda: clock() >= deadline)
    if not found:
        raise socket.gaierror("no address")
    for text in found:
        require_allowed(text, allows_private=allows_private)
    return found


def require_allowed(text: str, *, allows_private: bool) -> None:
    for address in _meant(ip_address(text.partition("%")[0])):
        if (
            address in _METADATA
            or address.is_link_local
            or address.is_multicast
            or address.is_unspecified
            or (isinstance(address, IPv6Address) and address.is_site_local)
        ):
            raise ForbiddenAddress("has an address to which Millrace never sends")
        if not address.is_global and not allows_private:
            raise ForbiddenAddress("has a private address, which an administrator has not allowed for it")


def _meant(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that an IPv6 address leads to; else the address itself."""
    if isinstance(address, IPv4Address):
        yield address
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())[1:]]
    if any(address in network for network in _NAT64):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    elif int(address) >> 32 == 0 and int(address) > 1:  # ::127.0.0.1, the old way to write one
        inner.append(IPv4Address(int(address)))
    found = [each for each in inner if each is not None]
    yield from found or [address]


def _resolve(
    host: str, port: int, resolver: Resolver, check: Callable[[], None], is_late: Callable[[], bool]
) -> Sequence[str]:
    """In a thread: the system may take a minute, and cannot be interrupted."""
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    while True:
        check()
        try:
            found = answers.get(timeout=TICK)
        except queue.Empty:
            if is_late():
                raise TimeoutError from None
            continue
        if isinstance(found, Exception):
            raise found
        return found
