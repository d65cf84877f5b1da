"""Limit how many failed attempts to guess a secret one origin may make per minute. Counted in the cache."""

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
    """A cache key for any origin. It is hashed, because account names may contain characters that caches refuse."""
    return f"{what}:{hashlib.sha256(origin.encode(errors='replace')).hexdigest()}"


class Attempts:
    """The attempts of one origin, such as an address. Each is counted before it is evaluated.

    If they were counted afterwards, any number of simultaneous attempts would pass.
    """

    def __init__(self, what: str, origin: str, allowed: int, words: str = _FROM_ADDRESS) -> None:
        self._key = cache_key(what, origin)
        self._allowed, self._words = allowed, words

    def take(self) -> None:
        """Count an attempt, or raise Throttled."""
        if self._count() > self._allowed:
            self.give_back()
            raise Throttled(self._words, retry_after=WINDOW)

    def give_back(self) -> None:
        """Take back an attempt that succeeded or was not evaluated."""
        try:
            cache.decr(self._key)
        except ValueError:
            return  # the minute is over

    def _count(self) -> int:
        cache.add(self._key, 0, timeout=WINDOW)
        try:
            number = cache.incr(self._key)
        except ValueError:  # it expired in between
            cache.set(self._key, 1, timeout=WINDOW)
            return 1
        if number <= 1:
            # If the key expired in between, Redis creates it without an expiry: nobody could ever sign in again.
            cache.touch(self._key, WINDOW)
        return number


@contextmanager
def counted(*attempts: Attempts) -> Iterator[Callable[[], None]]:
    """Count one attempt for each origin before the block evaluates it.

    The attempts stay counted unless the block calls the yielded function or raises an exception.
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
    """The part of an address that identifies one client: all of IPv4, and the /64 of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # a Unix socket has no IP address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))
