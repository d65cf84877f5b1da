"""The contract of a store whose open writes another request, perhaps on another host, can continue.

Such a write is found again by its key alone: nothing about it is kept in this process.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import BinaryIO

from .base import Sink, Writer


class ResumableWriter(Writer):
    """A Writer whose bytes outlive it: after close(), and after a commit that failed, the write can be resumed."""

    resumable = True
    # Whether bytes count only from a flush on, together with the last checkpoint, and are then safe from a power cut.
    # If not, each byte counts once it was written, and a power cut may lose bytes at the end.
    flushes_atomically = False

    @abstractmethod
    def flush(self) -> None:
        """Wait until everything written so far, and the last checkpoint, has reached the medium, or raise SinkError.

        Then bytes that did not reach it, or may not have, are cut off, at the latest by close(): `offset` is smaller.
        A later call does nothing.
        """

    @abstractmethod
    def truncate(self, offset: int) -> None:
        """Delete the bytes from `offset` on. Only before the first write of this Writer.

        A store that can cut only at some places deletes more: see `self.offset`.
        """

    @abstractmethod
    def save_checkpoint(self, text: str) -> None:
        """Keep a few hundred characters, about all bytes so far, in place of earlier ones. As cheap as a write."""

    @abstractmethod
    def wants_checkpoint(self, size: int) -> bool:
        """Whether a checkpoint should be saved before the next `size` bytes are written.

        A crash costs the work on the bytes that follow the last one.
        """

    @property
    def readable_from(self) -> int:
        """The offset from which on `ResumableSink.open_partial` can read the bytes that count."""
        return 0

    def make_readable(self) -> None:
        """After the last byte, and before commit: let `ResumableSink.open_partial` read all bytes."""
        self.flush()

    def call_when_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback`, in another thread, if another host takes the write over. Its lock must have been lost."""

    @abstractmethod
    def close(self) -> None:
        """End this Writer, unlock the key, and keep what was flushed: `ResumableSink.resume` continues the write."""


class ResumableSink(Sink):
    # Whether `open_partial` reads all bytes that count. If not, their hash cannot be computed again, only continued.
    reads_open_writes = True

    @abstractmethod
    def create_resumable(self, key: str, *, size: int | None = None) -> ResumableWriter:
        """Begin a write that can be resumed. `size` is as in `create`. Raises KeyLocked."""

    @abstractmethod
    def resume(self, key: str) -> ResumableWriter:
        """Continue an open write where its bytes end. Raises NoSuchKey, or KeyLocked."""

    @abstractmethod
    def offset(self, key: str) -> int:
        """Return how many bytes of an open write count. What a row says must follow this. Raises NoSuchKey."""

    @abstractmethod
    def read_checkpoint(self, key: str) -> str:
        """Return what was last saved beside an open write, or "". A crash may have damaged it."""

    @abstractmethod
    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        """Read the bytes of an open write that count, from `start` on. Raises NoSuchKey.

        Raises SinkError if `start` is before the `readable_from` of its Writers.
        """
