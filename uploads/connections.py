"""Database connections and turns: there are few of both, and requests that stream for an hour are many."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_turn = threading.Semaphore(1)


def let_go() -> None:
    """Give this thread's connection back. Django opens another when one is needed. Not within a transaction."""
    if not connection.in_atomic_block:
        connection.close()


@contextmanager
def write() -> Iterator[None]:
    """A transaction that writes. On SQLite, which has one writer, the threads of this process take turns.

    SQLite's own waiting knows no queue: of a thousand uploads that begin at once, the unlucky wait for 20 s, and
    fail as "locked".
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            yield
    else:
        with _turn, transaction.atomic():
            yield
