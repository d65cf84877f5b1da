"""The contract of the record of open writes: who holds each one, and which of its bytes count.

An object store takes parts of a multipart upload from every process, and tells none about the others. So each open
write has a record outside the store, and one holder, whose lease it is. `uploads/storage/open_writes.py` keeps the
records in the database.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..base import SinkError
from .parts import Part


class LockLost(SinkError):
    """The write was taken over by another holder, or deleted. This holder changes nothing any more."""


@dataclass(frozen=True, slots=True)
class OpenWriteRecord:
    key: str
    is_resumable: bool
    created_at: datetime
    size: int | None = None  # as announced
    multipart_id: str = ""  # "": no part was sent yet
    last_part: int = 0  # the highest part number that a holder was given
    # The bytes that count: first those in parts, then the first `tail_size` bytes of the object `tail`.
    parts_size: int = 0
    tail: str = ""
    tail_size: int = 0
    checkpoint: str = ""  # of these bytes, or of the first of them
    is_sealed: bool = False  # the object may be there: a holder was about to make it

    @property
    def offset(self) -> int:
        return self.parts_size + self.tail_size


class HeldWrite(ABC):
    """The lease on one open write. Every method raises LockLost if it was lost; then nothing has changed."""

    record: OpenWriteRecord
    # Called once, in another thread, when the lease was lost.
    when_lost: Callable[[], None] | None = None

    @abstractmethod
    def require_held(self) -> None:
        """Check, without a query, that the lease is not known to be lost."""

    @abstractmethod
    def begin_multipart(self, multipart_id: str) -> None:
        """Record the multipart upload, before its first part is sent."""

    @abstractmethod
    def next_part(self) -> int:
        """Return a part number that no holder was ever given."""

    @abstractmethod
    def save(self, parts: Sequence[Part], tail: str, tail_size: int, checkpoint: str) -> None:
        """Record what counts from now on: further parts, this tail and this checkpoint. In one transaction."""

    @abstractmethod
    def drop_parts(self) -> None:
        """Record that no bytes count any more."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """Return the parts that count, in order."""

    @abstractmethod
    def seal(self) -> None:
        """Record that the object is about to be made."""

    @abstractmethod
    def release(self) -> None:
        """End the lease: another holder may continue."""

    @abstractmethod
    def end(self) -> None:
        """Delete the record: the write was committed or aborted."""


class OpenWrites(ABC):
    """The open writes of one store."""

    @abstractmethod
    def begin(self, key: str, *, size: int | None, is_resumable: bool) -> HeldWrite:
        """Record a new write, and hold it. Raises KeyLocked if the key has one."""

    @abstractmethod
    def take(self, key: str) -> HeldWrite:
        """Hold a resumable write. Raises NoSuchKey, or KeyLocked while another holder's lease lasts."""

    @abstractmethod
    def find(self, key: str) -> OpenWriteRecord | None:
        """Return what is recorded of the write under this key."""

    @abstractmethod
    def remove(self, key: str) -> OpenWriteRecord | None:
        """Delete the record, also while another process holds it. Returns what it said."""

    @abstractmethod
    def resumable(self) -> Iterator[OpenWriteRecord]:
        """Iterate over the writes that a later request can continue."""

    @abstractmethod
    def abandoned(self) -> Iterator[OpenWriteRecord]:
        """Iterate over writes without a living holder, which no later request can continue."""
