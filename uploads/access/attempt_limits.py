"""Attempts to guess a secret: how many one origin may make within a minute, counted in the cache."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from django.core.cache import cache

from ..errors import Throttled

WINDOW = 60
_FROM_ADDRESS = "Too many failed attempts from your address. Wait a minute."


def cache_key(what: str, origin: str) -> str:
    """Names of accounts may hold anything, and keys of caches may not."""
    return f"{what}:{hashlib.sha256(origin.encode(errors='replace')).hexdigest()}"


class Attempts:
    """The attempts of one origin, such as an address. Each is counted before it is evaluated.

    Whoever checked first and counted afterwards would let any number pass that arrive together.
    """

    def __init__(self, what: str, origin: str, allowed: int, words: str = _FROM_ADDRESS) -> None:
        self._key = cache_key(what, origin)
        self._allowed, self._words = allowed, words

    def take(self) -> None:
        """Count an attempt, or refuse it."""
        if self._count() > self._allowed:
            self.give_back()
            raise Throttled(self._words, retry_after=WINDOW)

    def give_back(self) -> None:
        """Forget an attempt: it succeeded, or was not evaluated."""
        try:
            cache.decr(self._key)
        except ValueError:
            return  # its minute has passed

    def _count(self) -> int:
        cache.add(self._key, 0, timeout=WINDOW)
        try:
            number = cache.incr(self._key)
        except ValueError:  # it expired in between
            cache.set(self._key, 1, timeout=WINDOW)
            return 1
        if number <= 1:
            # Redis makes a key that expired in between anew, and for ever: nobody could sign in there again.
            cache.touch(self._key, WINDOW)
        return number


@contextmanager
def counted(*attempts: Attempts) -> Iterator[Callable[[], None]]:
    """Count an attempt for each of these, before the block evaluates it.

    They stay counted unless the block calls what it is given, or fails.
    """
    taken: list[Attempts] = []

    def give_back() -> None:
        while taken:
            taken.pop().give_back()

    try:
        for attempt in attempts:
            attempt.take()
            taken.append(attempt)
        yield give_back
    except BaseException:
        give_back()
        raise


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """What one client has: an address, and of IPv6 all of a /64, within which it may choose any."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # of a Unix socket there is none
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))
