"""The contract of every store: a Sink stores bytes under keys, a Writer is one open write.

The contract has only operations that an object store can do, too. To commit, a local disk links an anonymous file,
and S3 completes a multipart upload. Features that only some stores have are separate contracts: `resumable.py` has
writes that a later request can continue, and `local/sink.py` has files of this machine. Callers use isinstance() to
find out whether a store has a feature.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Self


class SinkError(Exception):
    """The store fails: it cannot be read or written. Not the client's fault."""


class SinkFull(SinkError):
    """The store has no space left."""


class NoSuchKey(SinkError):
    """Nothing is stored, or being written, under this key."""


class KeyLocked(SinkError):
    """Another Writer is open on this key."""


_STAMP = "%Y%m%dT%H%M%SZ"
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a Sink has under a key."""

    key: str
    size: int
    modified: datetime  # by the clock of this host
    partial: bool = False  # an open write, not committed


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of an open write in a store that keeps no record of open writes, or of a copy ("" is its key)."""

    key: str
    name: str  # as the record of the write names it
    place: str  # the store's own name for it
    begun_at: datetime  # by the clock of this host


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What a quarantine has of a key."""

    key: str
    size: int
    reason: str  # one word of a-z and -
    since: datetime
    partial: bool = False  # an open write, not committed

    @property
    def name(self) -> str:
        """Everything but the size: a store moves bytes into quarantine with one rename."""
        return f"{self.since.strftime(_STAMP)}.{self.reason}.{self.key}{_PARTIAL if self.partial else ''}"

    @classmethod
    def parse(cls, name: str, size: int) -> "Quarantined | None":
        """The opposite of `name`. None if the name has another form."""
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
    offset: int  # bytes written so far
    resumable = False  # whether the bytes outlive a commit that failed, as those of a ResumableWriter do

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`, or raise SinkError. May hold some of it in memory until commit."""

    @abstractmethod
    def commit(self) -> None:
        """Make the bytes durable, then visible under the key, then the key durable: in this order.

        If it raises, nothing is visible under the key. One exception: a store in the network that cannot be reached
        any more may have made the bytes visible, or may still do so. So after an error the caller deletes the key, or
        finds out later whether it is there.
        """

    @abstractmethod
    def abort(self) -> None:
        """Delete the bytes."""

    @abstractmethod
    def close(self) -> None:
        """End the write without a commit: its bytes are deleted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sidecars(ABC):
    """Small objects beside the content, one per file. If the database is lost, they tell which files the store has.

    The name of a sidecar is the key of the bytes that it describes, a dot, and the id of the file. A Sink stores them
    as named bytes; storage/sidecars.py defines what is in them.
    """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Store it durably, whole or not at all. Replaces an earlier one."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return its content. Raises NoSuchKey."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete it durably. Does nothing if it does not exist."""

    @abstractmethod
    def of(self, keys: Collection[str]) -> set[str]:
        """Return the names of the sidecars of these keys."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Iterate over the names of all sidecars, in no order."""


class Quarantine(ABC):
    """Where the sweep moves bytes that no row names, with the date and a reason.

    Received bytes are never deleted on a guess. An administrator can take them back; they are purged after a time,
    or on request.
    """

    @abstractmethod
    def put(self, key: str, reason: str) -> None:
        """Move what is stored under the key, committed or open. Does nothing if there is nothing."""

    @abstractmethod
    def entries(self) -> Iterator[Quarantined]:
        """Iterate over everything in quarantine, in no order."""

    @abstractmethod
    def take_back(self, found: Quarantined) -> None:
        """Move it back under its key. Raises SinkError if the key is taken, NoSuchKey if it is not in quarantine."""

    @abstractmethod
    def purge(self, found: Quarantined) -> None:
        """Delete it for good. Does nothing if it is not in quarantine."""


class Sink(ABC):
    name: str  # of the store, as in the `sink` column of rows
    is_remote = False  # whether each question is a request over the network
    sidecars: Sidecars
    quarantine: Quarantine

    @abstractmethod
    def create(self, key: str, *, size: int | None = None) -> Writer:
        """Begin to write `key`. `size`, where known, lets a store that writes in parts choose their size."""

    @abstractmethod
    def open(self, key: str, start: int = 0, end: int | None = None) -> BinaryIO:
        """Read committed bytes from `start` on. Raises NoSuchKey.

        A caller that needs no bytes from `end` on says so: a store in the network then does not send them.
        """

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the size of committed bytes, or None if there are none."""

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """Return the sizes of committed bytes of many keys. Those that have none are left out."""
        return {key: size for key in keys if (size := self.size(key)) is not None}

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete what is under the key, committed or open. Does nothing if there is nothing."""

    @abstractmethod
    def walk(self) -> Iterator[Stored]:
        """Iterate over everything stored, committed and open, in no order. Leaves out sidecars and quarantine."""

    @abstractmethod
    def free(self) -> int | None:
        """Return the free space in bytes, or None for a store without a fixed size."""

    @abstractmethod
    def identity(self) -> str | None:
        """Return the identity in the store's marker. None if it cannot be read: not mounted, or never marked."""

    def recent_identity(self) -> str | None:
        """As `identity`, but may be some seconds old: for what happens often, such as the start of an upload."""
        return self.identity()

    @abstractmethod
    def set_identity(self, identity: str) -> None:
        """Write the store's marker, in the place of an earlier one."""

    def check_access(self) -> None:  # noqa: B027  # most stores need no check
        """Raise SinkError, which says what to correct, if the store cannot be read, written and deleted from."""

    def fragments(self) -> Iterator[Fragment]:
        """Iterate over the pieces of all open writes, in a store that keeps no record of open writes."""
        return iter(())

    def is_empty_fragment(self, found: Fragment) -> bool:
        """Whether no received bytes are lost with it."""
        return False

    def delete_fragment(self, found: Fragment) -> None:  # noqa: B027  # most stores have none
        """Delete it. Does nothing if it does not exist."""

    def abort_abandoned(self) -> int:
        """Delete what writes of killed processes left, where nothing else does it. Returns how many there were."""
        return 0

    def is_read_only(self) -> bool:
        """Whether nothing can be written or deleted at the moment."""
        return False

    def is_empty(self) -> bool:
        """Whether the store has no content, no sidecars and no quarantine."""
        return not any(
            any(True for _ in found) for found in (self.walk(), self.sidecars.names(), self.quarantine.entries())
        )


def sidecar_is_of(name: str, keys: Collection[str]) -> bool:
    """Whether a sidecar with this name describes one of these keys."""
    return name.rpartition(".")[0] in keys
