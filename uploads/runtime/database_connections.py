"""Database connections and turns: there are few of both, and requests that stream for an hour are many."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

from .ballast_file import ballast

P = ParamSpec("P")
T = TypeVar("T")

_turns = {"sqlite": threading.Semaphore(1)}
# Of the pool's forty: those who wait for one another's locks leave enough for those who only read.
_other_turns = threading.Semaphore(16)

# Set by the server.
when_waiting: Callable[[], None] | None = None


def let_go() -> None:
    """Give this thread's connection back. Django opens another when one is needed. Not within a transaction.

    Called before what may take long: the server may let others begin, too.
    """
    if when_waiting is not None:
        when_waiting()
    if not connection.in_atomic_block:
        connection.close()


@contextmanager
def write() -> Iterator[None]:
    """A transaction that writes. The threads of this process take turns: on SQLite, which has one writer, one by one.

    SQLite's own waiting knows no queue: of a thousand uploads that begin at once, the unlucky wait for 20 s, and
    fail as "locked". On a server, they would wait for locks with all the connections that there are; and each to
    SQLite costs 200 KB.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    let_go()  # whoever waits for a turn waits without a connection
    with _turns.get(connection.vendor, _other_turns), transaction.atomic():
        yield


def frees_room(verb: Callable[P, T]) -> Callable[P, T]:
    """Make a verb that frees room work on a full disk: release half of the ballast, then all of it, and try again.

    Within a transaction of the caller it is tried once: the outermost verb begins again.
    """

    @wraps(verb)
    def carried_out(*args: P.args, **kwargs: P.kwargs) -> T:
        for everything in (False, True):
            try:
                return verb(*args, **kwargs)
            except OperationalError:
                kept = ballast()
                if connection.in_atomic_block or not (kept.is_low or kept.is_released):
                    raise
                kept.release(everything=everything)
        return verb(*args, **kwargs)

    return carried_out
