"""Boxes of ISO base media files (ISO 14496-12): read them within limits, and make new ones.

A box is a size, a type of four letters, and its content. Files come from strangers, so every size is checked against
the box around it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import Unsuitable

_HEADER, _LARGE_HEADER = 8, 16
_MOST_BOXES = 10_000  # side by side; a real movie has a few dozen
DAMAGED = "its index is damaged"


@dataclass(frozen=True, slots=True)
class Box:
    type: bytes
    content: memoryview

    @property
    def children(self) -> dict[bytes, "Box"]:
        """The boxes inside, the first of each type."""
        found: dict[bytes, Box] = {}
        for box in boxes_in(self.content):
            found.setdefault(box.type, box)
        return found

    def inside(self, *path: bytes) -> "Box":
        """The box at this path of types. Raises Unsuitable if there is none."""
        box = self
        for name in path:
            found = box.children.get(name)
            if found is None:
                raise Unsuitable(DAMAGED)
            box = found
        return box

    @property
    def version(self) -> int:
        """Of a full box, which begins with a version and flags."""
        return self.integer(0, 1)

    def integer(self, start: int, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        raw = self.content[start : start + size]
        if len(raw) != size:
            raise Unsuitable(DAMAGED)
        return int.from_bytes(raw, "big")


def boxes_in(content: memoryview) -> Iterator[Box]:
    """Iterate over the boxes of some bytes. What follows the last whole box is ignored: some programs write zeros."""
    at = 0
    for _ in range(_MOST_BOXES):
        if len(content) - at < _HEADER:
            return
        size, name = struct.unpack_from(">I4s", content, at)
        header = _HEADER
        if size == 1 and len(content) - at >= _LARGE_HEADER:
            size, header = struct.unpack_from(">Q", content, at + _HEADER)[0], _LARGE_HEADER
        elif size == 0:
            size = len(content) - at
        if size < header or size > len(content) - at:
            if any(content[at : at + 4]):
                raise Unsuitable(DAMAGED)
            return
        yield Box(name, content[at + header : at + size])
        at += size
    raise Unsuitable(DAMAGED)


@dataclass(frozen=True, slots=True)
class TopBox:
    """A box of the file itself, whose content is not read."""

    type: bytes
    start: int  # of its content
    end: int


def parse_header(head: bytes, at: int, size_of_file: int) -> TopBox:
    """Parse the first 16 bytes, or fewer at the end of the file, of a box of the file at offset `at`."""
    if len(head) < _HEADER:
        raise Unsuitable(DAMAGED)
    size, name = struct.unpack_from(">I4s", head)
    header = _HEADER
    if size == 1 and len(head) >= _LARGE_HEADER:
        size, header = struct.unpack_from(">Q", head, _HEADER)[0], _LARGE_HEADER
    elif size == 0:
        size = size_of_file - at
    if size < header or at + size > size_of_file:
        raise Unsuitable("its end is missing")
    return TopBox(name, at + header, at + size)


def box(name: bytes, *content: bytes) -> bytes:
    joined = b"".join(content)
    return struct.pack(">I4s", _HEADER + len(joined), name) + joined


def full_box(name: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def u16(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def u64(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}Q", *numbers)
