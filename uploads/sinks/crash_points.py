"""Named points in the code that stores, deletes and submits: a crash has a different result after each of them.

The code calls reached() at each point. In production this does nothing. Tests register listeners, check the order,
and kill the process at a point.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    MULTIPART_BEGUN = "multipart_begun"  # the store has a multipart upload that no record names yet
    PART_SENT = "part_sent"  # the store has a part that does not count yet
    PARTS_RECORDED = "parts_recorded"  # the parts and the tail of a resumable upload count
    CLAIMED = "claimed"  # the Blob row is committed, in the state `storing`
    SYNCED = "synced"  # the bytes are durable, and have no name yet
    LINKED = "linked"  # the bytes have their name
    DIRECTORY_SYNCED = "directory_synced"  # the name is durable
    STORED = "stored"  # the row has the state `stored`: users see the file
    ANSWERED = "answered"  # the upload is finished
    ROW_DELETED = "row_deleted"  # the deletion of the rows is committed
    SIDECAR_DELETED = "sidecar_deleted"  # the sidecar is deleted
    BYTES_DELETED = "bytes_deleted"  # the bytes are deleted
    ASSEMBLED = "assembled"  # the parts of a direct upload are one object; its row does not say so yet
    QUEUED = "queued"  # a queued job is committed, and its message is not sent yet


listeners: list[Callable[[Step], None]] = []


def reached(step: Step) -> None:
    for listen in listeners:
        listen(step)
