"""The marker of a store: an id that is saved in the store and in a row of the database. Both must be equal.

A store without our marker is never used: it may belong to another installation, or be an empty mount point, or the
database may be new. If such a store were used, housekeeping would treat all of its bytes as unknown.
"""

import uuid

from django.db import transaction

from ..errors import StorageUnavailable
from ..models import Blob, MediaFile, SinkMark
from ..sinks.base import Sink, SinkError
from ..sinks.patience import patience_of

_PATIENCE = 20.0  # seconds; a store that is started together with Millrace may need a while
_WAYS_OUT = """
  - Is the right disk mounted, or MILLRACE_STORAGE the right bucket? Is this the right DATABASE_URL and MILLRACE_HOME?
    Correct that and start again.
  - Was the database lost? Restore a snapshot: manage.py restore (snapshots are in HOME/snapshots).
  - Is there no snapshot, or is this store to be taken over? manage.py adopt-storage, then manage.py rebuild.
See “Backup and upgrade” in the README. Nothing was changed."""


class WrongStore(StorageUnavailable):
    """The store and the database do not belong together. The message says what to do."""


class UnusableStore(StorageUnavailable):
    """The store cannot be reached, read or written. The message says why."""


def is_ours(sink: Sink, mark: SinkMark | None = None) -> bool:
    """Whether the store belongs to this database. `mark`: its row, if the caller has it already."""
    mark = mark or mark_of(sink)
    return mark is not None and sink.recent_identity() == str(mark.identity)


def mark_of(sink: Sink) -> SinkMark | None:
    return SinkMark.objects.filter(sink=sink.name).first()


def trouble(sink: Sink, mark: SinkMark | None) -> str:
    """Why the store cannot be used; "" if it can. In a sentence or two, for an administrator.

    Makes no query, and does not wait for a store that cannot be reached.
    """
    with patience_of(0):
        identity = sink.identity()
        if mark is not None and identity == str(mark.identity):
            return ""
        if identity is None:
            try:
                sink.check_access()
            except SinkError as error:
                return str(error)
    return "The storage marker is missing or belongs to another installation. Is the disk mounted?"


def claim_store(sink: Sink) -> None:
    """At each start: accept our store, mark a new and empty one as ours, and refuse any other.

    Raises WrongStore, or UnusableStore.
    """
    try:
        with patience_of(_PATIENCE):
            sink.check_access()
            _claim_store(sink)
    except SinkError as error:
        raise UnusableStore(f"The store “{sink.name}” cannot be used. {error}") from error


def _claim_store(sink: Sink) -> None:
    identity, mark = sink.identity(), mark_of(sink)
    if identity is not None and mark is not None and identity == str(mark.identity):
        return
    if identity is not None:
        whose = "another database" if mark is None else "another installation"
        raise _wrong(sink, f"The storage marker belongs to {whose} (it says {identity}).")
    if not sink.is_empty():
        raise _wrong(sink, "The store contains files, but its marker is missing.")
    if Blob.objects.filter(sink=sink.name).exists():
        raise _wrong(sink, "The database lists files, but the store is empty and has no marker.")
    # The row first: after a crash the store is empty and has no marker, and the next start marks it.
    mark, _ = SinkMark.objects.get_or_create(sink=sink.name)
    sink.set_identity(str(mark.identity))


def _wrong(sink: Sink, why: str) -> WrongStore:
    return WrongStore(f"The store “{sink.name}” is refused. {why}{_WAYS_OUT}")


def adopt(sink: Sink) -> None:
    """Mark this store as ours, whatever its marker was.

    The identity is new: another installation that used this store stops writing to it.
    """
    with transaction.atomic():
        mark, _ = SinkMark.objects.select_for_update().get_or_create(sink=sink.name)
        mark.identity = uuid.uuid4()
        mark.save(update_fields=["identity"])
        sink.set_identity(str(mark.identity))


def describe(sink: Sink) -> str:
    """Describe store and database for the administrator who decides about them."""
    keys = sum(1 for stored in sink.walk() if not stored.partial)
    sidecars = sum(1 for _ in sink.sidecars.names())
    files = MediaFile.objects.filter(blob__sink=sink.name).count()
    return f"The store contains {keys} blobs and {sidecars} sidecars. The database lists {files} files."
