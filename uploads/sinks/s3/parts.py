"""The parts of a multipart upload: how large they are, and the buffer in which one is collected.

A store takes 10,000 parts, each of at least 5 MiB but the last. A part stays in memory until the store has it, so
that it can be sent again after an outage.
"""

from dataclasses import dataclass

_MB = 1024**2
_MOST_PARTS = 10_000
_SMALLEST = 5 * _MB
_USUAL_SIZE, _SIZE_IF_UNKNOWN = 8 * _MB, 16 * _MB
# For an upload of unknown size: the size of parts doubles after each 2,500. So 10,000 parts hold 580 GiB.
_DOUBLE_AFTER = 2_500
# Parts of a resumable upload may have half the usual size, and some numbers are lost with their holders.
_MOST_RESUMABLE_PARTS = 4_900


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the store has."""

    number: int
    size: int
    etag: str


def part_size(size: int | None, earlier: int = 0, *, is_resumable: bool = False) -> int:
    """The size of the next part, after `earlier` parts, of an upload of `size` bytes."""
    if size is None:
        return _SIZE_IF_UNKNOWN << min(earlier, _MOST_PARTS) // _DOUBLE_AFTER
    parts = _MOST_RESUMABLE_PARTS if is_resumable else _MOST_PARTS
    return max(_USUAL_SIZE, -(-size // (parts * _MB)) * _MB)


def smallest_part(size: int) -> int:
    """The size from which on bytes may become a part before there are `size` of them."""
    return max(_SMALLEST, size // 2)


class PartBuffer:
    """The bytes of one part. Its memory is used again for the next part."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.size = 0

    def take(self, data: memoryview, limit: int) -> int:
        """Copy bytes until there are `limit`. Returns how many were copied."""
        data = data[: limit - self.size]
        overwritten = min(len(data), len(self._bytes) - self.size)
        with memoryview(self._bytes) as room:
            room[self.size : self.size + overwritten] = data[:overwritten]
        self._bytes += data[overwritten:]
        self.size += len(data)
        return len(data)

    def content(self) -> bytearray:
        """Return the bytes, without a copy."""
        del self._bytes[self.size :]
        return self._bytes

    def clear(self) -> None:
        """Delete the bytes, and keep the memory for the next part."""
        self.size = 0

    def release(self) -> None:
        """Give the memory back."""
        self._bytes, self.size = bytearray(), 0
