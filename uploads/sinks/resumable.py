"""The contract of a store whose open writes another request, perhaps on another host, can continue.

Such a write is found again by its key alone: nothing about it is kept in this process.
"""

from abc import abstractmethod
from typing import BinaryIO

from .base import Sink, Writer


class ResumableWriter(Writer):
    """A Writer whose bytes outlive it: after close(), and after a commit that failed, the write can be resumed."""

    resumable = True

    @abstractmethod
    def flush(self) -> None:
        """Wait until everything written so far has reached the medium, or raise SinkError.

        Bytes that did not reach it, or may not have, are cut off: `offset` is then smaller.
        """

    @abstractmethod
    def truncate(self, offset: int) -> None:
        """Delete the bytes from `offset` on. Only before the first write of this Writer."""

    @abstractmethod
    def save_checkpoint(self, text: str) -> None:
        """Keep a few hundred characters beside the bytes, in the place of earlier ones. As cheap as a write."""

    @abstractmethod
    def close(self) -> None:
        """End this Writer, unlock the key, and keep the bytes: `ResumableSink.resume` continues the write."""


class ResumableSink(Sink):
    @abstractmethod
    def create_resumable(self, key: str, *, size: int | None = None) -> ResumableWriter:
        """Begin a write that can be resumed. `size` is as in `create`. Raises KeyLocked."""

    @abstractmethod
    def resume(self, key: str) -> ResumableWriter:
        """Continue an open write where its bytes end. Raises NoSuchKey, or KeyLocked."""

    @abstractmethod
    def offset(self, key: str) -> int:
        """Return how many bytes an open write has. What a row says must follow this. Raises NoSuchKey."""

    @abstractmethod
    def read_checkpoint(self, key: str) -> str:
        """Return what was last saved beside an open write, or "". A crash may have damaged it."""

    @abstractmethod
    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        """Read the bytes of an open write from `start` on. Raises NoSuchKey."""
