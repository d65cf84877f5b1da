"""Fetch content from a store in the network: several ranges at a time, each written to its place in a file.

The thread of the attempt starts the others and hashes what has arrived, in order. Several times a second it asks
whether to go on: a request that hangs must not keep a cancelled job. So it does not wait for the other threads when
it stops; they end with their request, and write to a file that has no name any more.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from uploads.content.hashing import Sha256
from uploads.sinks.base import SinkError

from ..errors import ContentLost

CONNECTIONS = 4
_RANGE = 16 * 1024**2
_PIECE = 1024**2  # each connection and the hash have one in memory
_CHECK_EVERY = 0.2  # seconds

# Open the bytes from a start to an end, which is not among them.
OpenRange = Callable[[int, int], BinaryIO]


@dataclass(frozen=True, slots=True)
class Source:
    name: str  # for people
    sha256: str
    size: int
    open_range: OpenRange


def fetch(source: Source, fd: int, on_arrival: Callable[[int], None]) -> None:
    """Write the content to the file `fd`, which has its size.

    Calls `on_arrival` with the number of bytes that have arrived; it may raise to stop. Raises ContentLost if the
    content is not what the hash says.
    """
    ranges = _Ranges(source.size)
    for _ in range(min(CONNECTIONS, ranges.number)):
        threading.Thread(target=_fetch_ranges, args=(source, ranges, os.dup(fd)), name="fetch", daemon=True).start()
    digest, hashed = Sha256(), 0
    try:
        while hashed < source.size:
            ready = ranges.wait(hashed)
            on_arrival(ranges.arrived)
            while hashed < ready:
                piece = os.pread(fd, min(_PIECE, ready - hashed), hashed)
                digest.update(piece)
                hashed += len(piece)
    finally:
        ranges.stop()
    if digest.hexdigest() != source.sha256:
        raise ContentLost(f"The content of {source.name} is damaged in the store. Ask your administrator.")


class _Ranges:
    """Which ranges have been taken and which are complete. Shared by the threads of one fetch."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._taken = 0
        self._complete: set[int] = set()  # behind `_ready`
        self._ready = 0  # ranges that are complete from the start on
        self._error: BaseException | None = None
        self.is_stopped = False
        self.arrived = 0

    @property
    def number(self) -> int:
        return -(-self._size // _RANGE)

    def take(self) -> tuple[int, int] | None:
        """The start and the end of the next range. None: there is no other, or no more is wanted."""
        with self._changed:
            if self.is_stopped or self._taken == self.number:
                return None
            start = self._taken * _RANGE
            self._taken += 1
            return start, min(start + _RANGE, self._size)

    def add(self, size: int) -> None:
        with self._changed:
            self.arrived += size

    def complete(self, start: int) -> None:
        with self._changed:
            self._complete.add(start // _RANGE)
            while self._ready in self._complete:
                self._complete.remove(self._ready)
                self._ready += 1
            self._changed.notify()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self.is_stopped = True
            self._changed.notify()

    def stop(self) -> None:
        self.is_stopped = True

    def wait(self, known: int) -> int:
        """How many bytes from the start on have arrived. Waits for a moment until there are more than `known`."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._end > known, _CHECK_EVERY)
            if self._error is not None:
                raise self._error
            return self._end

    @property
    def _end(self) -> int:
        return min(self._ready * _RANGE, self._size)


def _fetch_ranges(source: Source, ranges: _Ranges, fd: int) -> None:
    """A thread: fetch one range after another. Its error is raised in the thread that waits for the ranges."""
    try:
        buffer = memoryview(bytearray(min(_PIECE, source.size)))
        while taken := ranges.take():
            start, end = taken
            with source.open_range(start, end) as reader:
                _copy(reader, fd, start, end, buffer, ranges)
            ranges.complete(start)
    except BaseException as error:
        ranges.fail(error)
    finally:
        os.close(fd)


def _copy(reader: BinaryIO, fd: int, start: int, end: int, buffer: memoryview, ranges: _Ranges) -> None:
    while start < end and not ranges.is_stopped:
        count = reader.readinto(buffer[: end - start])  # type: ignore[attr-defined]  # readers of all stores have it
        if not count:
            raise SinkError("The content in the store is shorter than it should be.")
        _write(fd, buffer[:count], start)
        ranges.add(count)
        start += count


def _write(fd: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written
