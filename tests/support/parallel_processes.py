"""Several processes on one database that begin at the same moment. For code that runs in `manage.py shell`."""

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

from django.db import connections

Answer = TypeVar("Answer")
_PATIENCE = 120.0
# Forked: each has Django at once. Whoever forks must not have asked the database anything: two would share a socket.
_FORK = multiprocessing.get_context("fork")


def at_once(number: int, deed: Callable[[int], Answer]) -> list[Answer]:
    """What each of so many processes answers, which are told their number and nothing else."""
    assert not any(connection.connection for connection in connections.all(initialized_only=True))
    barrier = _FORK.Barrier(number)
    members = []
    for index in range(number):
        ours, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_be_one, args=(deed, index, barrier, theirs), daemon=True)
        process.start()
        theirs.close()
        members.append((process, ours))
    answers = [_hear(ours) for _, ours in members]
    for process, _ in members:
        process.join()
    return answers


def alone(deed: Callable[[], Answer]) -> Answer:
    """Do it in another process, so that this one can go on forking."""
    return at_once(1, lambda _: deed())[0]


def _be_one(deed: Callable[[int], Any], index: int, barrier: Barrier, pipe: Connection) -> None:
    try:
        barrier.wait(_PATIENCE)
        pipe.send((deed(index), ""))
    except BaseException:
        pipe.send((None, traceback.format_exc()))
        raise
    finally:
        connections.close_all()


def _hear(pipe: Connection) -> Any:
    answer, wrong = pipe.recv() if pipe.poll(_PATIENCE) else (None, "it did not answer")
    if wrong:
        raise RuntimeError(f"one of the processes failed: {wrong}")
    return answer
