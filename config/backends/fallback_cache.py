"""A cache that several processes share, with this process's memory as a fallback while the shared cache is down.

The cache counts failed logins and throttled requests. While Redis is down, each process counts them itself: no
request fails, and none waits for more than a second.
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
_SHARED = "config.backends.shared_cache.SharedCache"
# Django's default is 300: guesses from more addresses than that would remove the counters of others.
_SIZE = {"MAX_ENTRIES": 20_000}
_PAUSE = 2.0  # seconds between attempts to reach the cache again
# Seconds for connecting and for each response. Even with two addresses and both waits, this is below one second.
_TIMEOUT = 0.25


def configured(found: dict[str, Any], processes: int) -> dict[str, Any]:
    """Django's setting of a cache, from the parsed CACHE_URL and the number of web processes."""
    options = found.get("OPTIONS", {})
    if found["BACKEND"] == _LOCAL:
        found, options = {**found}, _SIZE | options
        if processes == 1:
            return {**found, "OPTIONS": options}
        found["BACKEND"] = _SHARED
    return {**found, "BACKEND": f"{__name__}.FallbackCache", "OPTIONS": {**options, "shared": found["BACKEND"]}}


def is_of_one_host(configured: dict[str, Any]) -> bool:
    """Whether other hosts count by themselves, going by Django's setting of the cache."""
    backend = configured["OPTIONS"].get("shared", configured["BACKEND"])
    return backend in {_LOCAL, _SHARED}


class _Outage:
    """Whether the shared cache is down. When one thread has noticed it, the others do not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._try_again_at = 0.0

    def may_try(self) -> bool:
        if not self._try_again_at:
            return True
        with self._lock:
            now = monotonic()
            if now < self._try_again_at:
                return False
            self._try_again_at = now + _PAUSE  # other threads use the fallback meanwhile
            return True

    def begin(self, error: Exception) -> None:
        with self._lock:
            is_new, self._try_again_at = not self._try_again_at, monotonic() + _PAUSE
        if is_new:
            log.warning("cache_unavailable", error=type(error).__name__)

    def end(self) -> None:
        if self._try_again_at:
            with self._lock:
                self._try_again_at = 0.0
            log.warning("cache_is_back")


_outage = _Outage()


class FallbackCache(BaseCache):
    """Passes the basic methods on, from which BaseCache builds all others."""

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params["OPTIONS"])
        backend = import_string(options.pop("shared"))
        if issubclass(backend, RedisCache):
            options = _short_timeouts() | options
        self._shared = backend(location, {**params, "OPTIONS": options})
        self._local = LocMemCache("fallback", {**params, "OPTIONS": _SIZE})

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if _outage.may_try():
            try:
                answer = getattr(self._shared, method)(*args, **kwargs)
            except (ValueError, TypeError):
                raise  # an error of the caller: a missing key, or a value that cannot be stored
            except Exception as error:  # each cache library has its own errors
                _outage.begin(error)
            else:
                _outage.end()
                return answer
        return getattr(self._local, method)(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("set", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("touch", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("delete", *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("has_key", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("incr", *args, **kwargs)

    def clear(self) -> None:
        self._call("clear")

    def close(self, **kwargs: Any) -> None:
        """Django calls this at the end of every request. It does not contact the server."""
        self._shared.close(**kwargs)


def _short_timeouts() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {"socket_connect_timeout": _TIMEOUT, "socket_timeout": _TIMEOUT, "retry": Retry(NoBackoff(), 0)}
