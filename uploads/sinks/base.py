"""The contract of a Sink (where bytes live) and of a Writer (one open write).

It asks no more than an object store can give. A local disk links an anonymous file; S3 completes a multipart
upload: both are `commit`. A write that is to be continued, perhaps by another host, is found again by its key
alone: nothing about it is kept in this process.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self


class SinkError(Exception):
    """The place itself fails: it cannot be read or written. Not the client's fault."""


class SinkFull(SinkError):
    """No room is left."""


class NoSuchKey(SinkError):
    """Nothing is kept, or being written, under this key."""


class Held(SinkError):
    """Another Writer is open on this key."""


_STAMP = "%Y%m%dT%H%M%SZ"
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a Sink has under a key."""

    key: str
    size: int
    modified: datetime
    partial: bool = False  # an open write, not committed


@dataclass(frozen=True, slots=True)
class Quarantined:
    key: str
    size: int
    reason: str  # one word of a-z and -
    since: datetime
    partial: bool = False  # an open write, not committed

    @property
    def name(self) -> str:
        """Everything but the size, so that one rename says it all."""
        return f"{self.since.strftime(_STAMP)}.{self.reason}.{self.key}{_PARTIAL if self.partial else ''}"

    @classmethod
    def named(cls, name: str, size: int) -> "Quarantined | None":
        """None for a name that is not one of ours."""
        stamp, _, rest = name.partition(".")
        reason, _, key = rest.partition(".")
        try:
            since = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(key.removesuffix(_PARTIAL), size, reason, since, key.endswith(_PARTIAL)) if key else None


class Writer(ABC):
    """One open write. Exactly one of commit, abort and close ends it; each may be called again."""

    key: str
    offset: int  # bytes taken so far
    resumable = False  # a write that is to be continued outlives its Writer, and a commit that failed

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Take all of `data`, or raise SinkError. May keep some of it back until commit or close."""

    def flush(self) -> None:
        """Of a resumable write: wait until everything written so far has reached the medium, or raise SinkError.

        Bytes that did not, or may not have, are cut off: the write goes on before them.
        """
        raise NotImplementedError

    def cut(self, offset: int) -> None:
        """Of a resumable write, before anything more is written to it: throw away what lies beyond `offset`."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Of a resumable write: keep a few hundred characters beside it, at the cost of a write. The latest stay."""
        raise NotImplementedError

    @abstractmethod
    def commit(self) -> None:
        """Make the bytes durable, then visible under the key, then the key durable: in this order.

        When it raises, nothing is visible under the key.
        """

    @abstractmethod
    def abort(self) -> None:
        """Throw the bytes away. Nothing stays."""

    @abstractmethod
    def close(self) -> None:
        """Let go. A resumable write stays, to be continued; any other is aborted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sidecars(ABC):
    """Small objects beside the content, one per file: what lets a store explain itself without a database.

    A sidecar's name is the key of the bytes that it describes, a dot, and more. Here they are only named bytes; what
    they say is written in storage/sidecars.py.
    """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Store it durably, whole or not at all, in the place of an earlier one."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """NoSuchKey, where there is none."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove it durably. Nothing there is no error."""

    @abstractmethod
    def of(self, keys: Collection[str]) -> set[str]:
        """The names of the sidecars of these keys."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """All of them, in no order."""


class Quarantine(ABC):
    """Where bytes wait that nothing names: out of the way, with date and reason, until somebody decides.

    Bytes that somebody sent are never deleted by a guess. What the sweep does not understand is moved into here. It
    can be taken back, and is purged after a time or on request.
    """

    @abstractmethod
    def put(self, key: str, reason: str) -> None:
        """Move what is stored under the key, committed or open, out of the way. Nothing there is no error."""

    @abstractmethod
    def content(self) -> Iterator[Quarantined]:
        """Everything in it, in no order."""

    @abstractmethod
    def take_back(self, found: Quarantined) -> None:
        """Put it back under its key. SinkError where that is taken, NoSuchKey where it is not here."""

    @abstractmethod
    def purge(self, found: Quarantined) -> None:
        """Delete it for good. Nothing there is no error."""


class Sink(ABC):
    name: str
    sidecars: Sidecars
    quarantine: Quarantine

    @abstractmethod
    def create(self, key: str, *, size: int | None = None, resumable: bool = False) -> Writer:
        """Begin to write `key`. `size`, where known, lets a place that thinks in parts choose their size."""

    @abstractmethod
    def resume(self, key: str) -> Writer:
        """Go on with a resumable write where its bytes end. Raises NoSuchKey, or Held by another Writer."""

    @abstractmethod
    def offset(self, key: str) -> int:
        """How far an open resumable write has come: the truth that every row must bow to. NoSuchKey."""

    @abstractmethod
    def noted(self, key: str) -> str:
        """What was last noted beside an open resumable write, or nothing. A crash may have spoiled it."""

    @abstractmethod
    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        """Read what an open resumable write has so far, from `start` on. NoSuchKey."""

    @abstractmethod
    def open(self, key: str, start: int = 0) -> BinaryIO:
        """Read committed bytes from `start` on. NoSuchKey."""

    def local_path(self, key: str) -> Path | None:
        """Where committed bytes can be read as a file of this machine; None where they must be fetched."""
        return None

    def adopt(self, source: Path, key: str, fd: int | None = None, *, own: bool = False) -> bool:
        """Take a file of this machine in without copying it, durably. False where that cannot be.

        `fd` is a descriptor of `source` on which write-back was waited for: errors are reported to that one. The mode
        of a file is left as it is, unless it is our `own`.
        """
        return False

    def take_over(self, key: str) -> None:  # noqa: B027  # most places need not do anything
        """The file that was adopted has lost its other name: from here on it is our own."""

    def restrict(self) -> None:  # noqa: B027
        """Close what is kept here to other accounts of this machine, where they could reach it."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """The size of committed bytes, or None where there are none."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove what is there, committed or open. Nothing there is no error."""

    @abstractmethod
    def walk(self) -> Iterator[Stored]:
        """Everything here, committed and open, in no order. Not sidecars, nor what is in quarantine."""

    @abstractmethod
    def free(self) -> int | None:
        """Bytes of room left, or None where that has no meaning."""

    def is_read_only(self) -> bool:
        """Whether nothing can be written or deleted here just now."""
        return False

    @abstractmethod
    def identity(self) -> str | None:
        """The mark this place was given, or None where it cannot be read: not mounted, or never marked."""

    @abstractmethod
    def mark(self, identity: str) -> None:
        """Give this place its mark, instead of one that it had."""

    def is_empty(self) -> bool:
        """Whether there is nothing here that anybody could lose."""
        return not any(
            any(True for _ in found) for found in (self.walk(), self.sidecars.names(), self.quarantine.content())
        )


def sidecar_is_of(name: str, keys: Collection[str]) -> bool:
    return name.rpartition(".")[0] in keys
