"""Parse `Range: bytes=…` by RFC 9110 section 14 into half-open ranges."""

import re
from dataclasses import dataclass

# A position of 20 digits is past the end of every file. More digits would make int() slow: a client could abuse that.
_ONE_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,20})-(\d{0,20})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    start: int
    stop: int  # one past the last byte

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class Unsatisfiable(Exception):
    """The requested range lies outside the content (status 416)."""


def parse_range(header: str, size: int) -> ByteRange | None:
    """Return the range to send, or None to send the whole content.

    The whole is sent for an empty or malformed header, another unit, and several ranges, which a server may ignore.
    """
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return ByteRange(start, min(int(last) + 1, size) if last else size)


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise Unsatisfiable
    return ByteRange(max(0, size - length), size)
