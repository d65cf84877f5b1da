"""Streams without a beginning: only that their packets or frames follow each other tells them."""

import re
from itertools import islice

from .frames import FRAMES, Frame


def stream_type(head: bytes) -> str | None:
    if _is_transport_stream(head):
        return "video/mp2t"
    for name, sync, frame in FRAMES:
        if _are_frames(head, sync, frame):
            return name
    return None


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes, of 192 on Blu-ray and in cameras, of 204 off the air; maybe cut within one."""
    head = head[:4096]
    starts = [(at, size) for size in (188, 192, 204) for at in range(size) if head[at : at + 1] == b"G"]
    return any(_are_packets(head, at, size) for at, size in starts)


def _are_packets(head: bytes, at: int, size: int) -> bool:
    wanted = 5 if at in (0, size - 188) else 10
    syncs, fields = head[at::size][:wanted], head[at + 3 :: size][:wanted]
    # No adaptation field and no payload is reserved: that keeps out runs of the letter G.
    return syncs.count(b"G") == wanted == len(fields) and all(field & 0x30 for field in fields)


def _are_frames(head: bytes, sync: re.Pattern[bytes], frame: Frame) -> bool:
    # Two frames at the very beginning; more behind the torn frame that a recorded stream begins with.
    return _follow(head, 0, frame, 2) or any(
        _follow(head, found.start(), frame, 5) for found in islice(sync.finditer(head, 1, 4096), 100)
    )


def _follow(head: bytes, at: int, frame: Frame, wanted: int) -> bool:
    length, shared = frame(head, at)
    for _ in range(wanted - 1):
        at += length
        before = shared
        length, shared = frame(head, at)
        if length == 0 or shared != before:
            return False
    return length > 0
