"""The points between which a process may die while it keeps or removes bytes, or hands on work.

Code that stores, deletes or submits says which point it has reached. Nobody listens in production; the tests listen,
note the order, and kill the process there.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    CLAIMED = "claimed"  # the row that names the key is committed, as `storing`
    SYNCED = "synced"  # the bytes are on the medium, under no name yet
    LINKED = "linked"  # the bytes have their name
    DIRECTORY_SYNCED = "directory_synced"  # and the name is on the medium
    STORED = "stored"  # the row is flipped: people see the file
    ANSWERED = "answered"  # nothing of the upload is left to do
    ROW_DELETED = "row_deleted"  # the deletion is committed
    SIDECAR_DELETED = "sidecar_deleted"  # the store does not speak of the file any more
    BYTES_DELETED = "bytes_deleted"  # the bytes have gone
    QUEUED = "queued"  # work that waits is committed, and no message speaks of it yet


listeners: list[Callable[[Step], None]] = []


def reached(step: Step) -> None:
    for listen in listeners:
        listen(step)
