"""Share database connections and write transactions between many requests that may stream for hours."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

from .ballast_file import ballast

P = ParamSpec("P")
T = TypeVar("T")

_POOL_SIZE = 40  # if there is no pool, or its size is not set
_WRITERS_SHARE = 0.4  # of the pool: writers that wait for locks leave the other connections

# Set by the server.
when_waiting: Callable[[], None] | None = None


def release_connection() -> None:
    """Close this thread's connection, unless it is in a transaction. Django opens another one when needed.

    Called before long waits. The web server also lets other requests begin then.
    """
    if when_waiting is not None:
        when_waiting()
    if not connection.in_atomic_block:
        connection.close()


@contextmanager
def write() -> Iterator[None]:
    """A transaction that writes. The threads of this process take turns: on SQLite only one writes at a time.

    SQLite itself has no queue: of a thousand uploads that begin at once, some would wait for 20 s and fail as
    "locked". On a database server, the waiting threads would occupy all connections. On SQLite, each waiting thread
    would hold a connection, which takes 200 KB of memory.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    release_connection()  # wait without a connection
    _after_turn.calls, calls = [], _after_turn.calls
    try:
        with _turns(connection.vendor), transaction.atomic():
            yield
    finally:
        _after_turn.calls, calls = calls, _after_turn.calls
    for call in calls or []:
        call()


class _AfterTurn(threading.local):
    """What is to be called when this thread's turn to write is over. None: it has no turn."""

    calls: list[Callable[[], None]] | None = None


_after_turn = _AfterTurn()


def after_commit(call: Callable[[], None]) -> None:
    """Call it once the transaction is committed, and it may write itself.

    What `transaction.on_commit` calls must not write: on SQLite it would wait for its own thread's turn, for ever.
    """
    transaction.on_commit(lambda: call() if _after_turn.calls is None else _after_turn.calls.append(call))


@cache
def _turns(vendor: str) -> threading.Semaphore:
    """For as many threads of this process as write at a time."""
    if vendor == "sqlite":
        return threading.Semaphore(1)
    pool = connection.settings_dict.get("OPTIONS", {}).get("pool")
    size = pool.get("max_size", _POOL_SIZE) if isinstance(pool, dict) else _POOL_SIZE
    return threading.Semaphore(max(1, int(_WRITERS_SHARE * size)))


def frees_space(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that frees disk space: on a full disk release half of the ballast, then all, and retry.

    Inside a transaction of the caller it is not retried: the outermost decorated function is.
    """

    @wraps(function)
    def carried_out(*args: P.args, **kwargs: P.kwargs) -> T:
        for everything in (False, True):
            try:
                return function(*args, **kwargs)
            except OperationalError:
                kept = ballast()
                if connection.in_atomic_block or not (kept.is_low or kept.is_released):
                    raise
                kept.release(everything=everything)
        return function(*args, **kwargs)

    return carried_out
