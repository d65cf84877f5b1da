"""The cache that several processes share, and this process's own memory in its place while it does not answer.

It holds what is counted: attempts to guess, and requests where they are throttled. When Redis is away, they are
counted here; no request fails, and none waits for a second.
"""

import threading
from time import monotonic
from typing import Any

import structlog
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)
_LOCAL = "django.core.cache.backends.locmem.LocMemCache"
# Django's default are 300: guesses from as many addresses would push the counters of the others out.
_ROOM = {"MAX_ENTRIES": 20_000}
_PAUSE = 2.0  # seconds until one request finds out whether the cache is back
# For a connection or an answer. Of both, and a name with two addresses, there is less than a second.
_PATIENCE = 0.25


def configured(found: dict[str, Any]) -> dict[str, Any]:
    """Django's settings of a cache, given what CACHE_URL says."""
    options = found.get("OPTIONS", {})
    if found["BACKEND"] == _LOCAL:
        return {**found, "OPTIONS": _ROOM | options}
    return {**found, "BACKEND": f"{__name__}.FallbackCache", "OPTIONS": {**options, "shared": found["BACKEND"]}}


class _Outage:
    """Whether the shared cache is away: known to all threads as soon as one has waited for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ask_again = 0.0

    def may_ask(self) -> bool:
        if not self._ask_again:
            return True
        with self._lock:
            now = monotonic()
            if now < self._ask_again:
                return False
            self._ask_again = now + _PAUSE  # the others go on without it meanwhile
            return True

    def begin(self, error: Exception) -> None:
        with self._lock:
            is_new, self._ask_again = not self._ask_again, monotonic() + _PAUSE
        if is_new:
            log.warning("cache_unavailable", error=type(error).__name__)

    def end(self) -> None:
        if self._ask_again:
            with self._lock:
                self._ask_again = 0.0
            log.warning("cache_is_back")


_outage = _Outage()


class FallbackCache(BaseCache):
    """The methods on which all others are built."""

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params["OPTIONS"])
        backend = import_string(options.pop("shared"))
        if issubclass(backend, RedisCache):
            options = _impatient() | options
        self._shared = backend(location, {**params, "OPTIONS": options})
        self._local = LocMemCache("while the shared cache is away", {**params, "OPTIONS": _ROOM})

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if _outage.may_ask():
            try:
                answer = getattr(self._shared, method)(*args, **kwargs)
            except (ValueError, TypeError):
                raise  # the caller's: a key that is not there, a value that cannot be kept
            except Exception as error:  # each library has its own
                _outage.begin(error)
            else:
                _outage.end()
                return answer
        return getattr(self._local, method)(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("touch", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete", *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("has_key", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("incr", *args, **kwargs)

    def clear(self) -> None:
        self._ask("clear")

    def close(self, **kwargs: Any) -> None:
        """At the end of every request: nothing is asked of a server."""
        self._shared.close(**kwargs)


def _impatient() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {"socket_connect_timeout": _PATIENCE, "socket_timeout": _PATIENCE, "retry": Retry(NoBackoff(), 0)}
