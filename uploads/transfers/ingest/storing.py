"""Store content that this server can read by itself, by the same path as any upload: admit, hash, store.

The key of an announcement names the source. A source with the key of an earlier one is not stored again.
"""

from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from typing import NoReturn, Protocol

from ...conf import virus_scan
from ...content.intake import Intake
from ...errors import InvalidParams, StorageUnavailable
from ...models import Blob, MediaFile
from ...sinks.base import Writer
from ...storage.blobs import heal_blob, is_whole, new_key
from ...storage.stores import sink
from ..admission import Announcement
from ..disk_space import check_unreserved
from ..idempotency import Replay
from ..reception import Reception, storage_refusals

_CHANGED = "The content was changed while it was being read."


class Outcome(StrEnum):
    INGESTED = "ingested"
    SKIPPED = "already stored"
    RESTORED = "restored"  # it was ingested before, and its bytes were lost


class Source(Protocol):
    """Content that can be read more than once."""

    @property
    def size(self) -> int: ...

    def read(self, feed: Callable[[bytes], object], seen: Callable[[int], object]) -> None: ...

    def is_unchanged(self) -> bool: ...


def store_source(
    source: Source,
    announcement: Announcement,
    seen: Callable[[int], object],
    new_writer: Callable[[], Writer | None] = lambda: None,
) -> tuple[MediaFile, Outcome]:
    """Store a source, unless it is stored. `new_writer`: makes a Writer that need not copy the bytes, or None."""
    try:
        return _store(source, announcement, seen, new_writer()), Outcome.INGESTED
    except Replay as replay:
        file = replay.file
    if is_stored(file):
        return file, Outcome.SKIPPED
    _restore(source, file, seen, new_writer())
    return file, Outcome.RESTORED


def is_stored(file: MediaFile) -> bool:
    """Whether the file exists and its bytes are stored."""
    blob = Blob.objects.filter(files=file).first()
    with storage_refusals():
        return blob is not None and is_whole(blob)


def _store(
    source: Source, announcement: Announcement, seen: Callable[[int], object], writer: Writer | None
) -> MediaFile:
    with Reception.open(announcement, writer) as reception:
        source.read(reception.feed, seen)
        if reception.seal().size != source.size or not source.is_unchanged():
            raise InvalidParams(_CHANGED)
        return reception.commit()


def _restore(source: Source, file: MediaFile, seen: Callable[[int], object], writer: Writer | None) -> None:
    """Bring back the bytes of a file that the storage has lost.

    No Upload is created: the file exists, and counts towards its owner's quota already.
    """
    with storage_refusals():
        check_unreserved(sink(), 0 if writer else source.size)
        with writer or sink().create(new_key(), size=source.size) as writer:
            with closing(Intake(writer, grow=_refuse_more, granted=source.size, scan=virus_scan())) as intake:
                source.read(intake.feed, seen)
                content = intake.finish()
            if not source.is_unchanged():
                raise InvalidParams(_CHANGED)
            if content.sha256 != file.blob.sha256:
                raise InvalidParams(
                    "Something with the same name, size and date but different content was ingested before, and its "
                    "bytes are lost. To ingest this as a new one, change the date of the file (touch), or the query."
                )
            heal_blob(writer, content)
    if not is_stored(file):
        raise StorageUnavailable("The file was deleted while its bytes were being restored. Run the command again.")


def _refuse_more(_: int) -> NoReturn:
    raise InvalidParams(_CHANGED)
