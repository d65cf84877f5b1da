"""Receive one upload, from its announcement to its file: open -> feed -> commit, or abort."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

import structlog
from django.db import Error as DatabaseFailure
from django.db.models.functions import Now

from ..conf import limits, virus_scan
from ..content.intake import Content, Intake
from ..content.virus_scan import OnInfection, VirusScan
from ..errors import Abandoned, Infected, InsufficientStorage, Refusal, StorageUnavailable, TooLarge
from ..models import MediaFile, Upload
from ..runtime.ballast_file import ballast
from ..runtime.database_connections import release_connection, write
from ..sinks.base import SinkError, SinkFull, Writer
from ..storage.blobs import new_key, store
from ..storage.stores import sink, sink_named
from ..storage.tombstones import remove
from ..text.sizes import exact_size
from . import disk_space, quota, upload_counters
from .admission import Announcement, admit
from .completion import complete, fail
from .progress import flusher
from .quota import limits_of
from .resumable.checkpoint import Checkpoint

log = structlog.get_logger(__name__)
_CHECK_EVERY = 0.5  # seconds between two checks of the disk


class Reception:
    """An upload that is being received: its row, its Writer and its Intake. Leaving the context uncommitted aborts.

    For a resumable upload, each request has a Reception of its own, inside a `resumable.session.Session`.
    """

    def __init__(
        self, upload: Upload, writer: Writer, checkpoint: Checkpoint | None = None, scan: VirusScan | None = None
    ) -> None:
        self.upload, self.writer = upload, writer
        self.intake = Intake(
            writer, grow=partial(_reserve_more, upload), granted=upload.reserved, scan=scan,
            accept=limits().accept, pace=limits().pace, **(checkpoint.intake_state() if checkpoint else {}),
        )  # fmt: skip
        self.content: Content | None = None
        self._ended = False
        self._ending = threading.Lock()
        self._checked_at = float("-inf")

    @classmethod
    def open(cls, announcement: Announcement, writer: Writer | None = None) -> Self:
        """Admit the upload, open a Writer for it, and start to report its progress."""
        upload = admit(announcement)
        try:
            with storage_refusals():
                writer = writer or sink().create(new_key(), size=announcement.size)
        except Refusal as refusal:
            fail(upload, refusal)
            raise
        reception = cls(upload, writer, scan=virus_scan())
        flusher.watch(upload.pk, lambda: reception.offset, size=upload.declared_size)
        release_connection()
        return reception

    @property
    def offset(self) -> int:
        return self.intake.offset

    def feed(self, data: bytes | memoryview) -> None:
        """Receive the next bytes."""
        if time.monotonic() - self._checked_at > _CHECK_EVERY:
            self._check_disk()
        with storage_refusals():
            self.intake.feed(data)
        upload_counters.RECEIVED.inc(len(data))

    def _check_disk(self) -> None:
        """Stop before the disk is full: when the reserved space is used up, the ballast's must not be used."""
        self._checked_at = time.monotonic()
        if ballast().is_low and ballast().is_on_disk_of(limits().media_root):
            raise InsufficientStorage("The server's disk is full. Try again later.", retry_after=60)

    def seal(self) -> Content:
        """Finish the content: no more bytes follow."""
        with storage_refusals():
            self.content = self.intake.finish()
        return self.content

    def commit(self) -> MediaFile:
        """Store the bytes as a file, which is then durable and visible. Abort on failure."""
        if self.content is None:
            self.seal()
        try:
            return self.make_file()
        except BaseException as error:
            self.abort(error)
            raise

    def make_file(self) -> MediaFile:
        """As `commit`, but do not abort on failure: a resumable upload keeps its bytes."""
        content = self.content or self.seal()
        with storage_refusals():
            file = store(self.writer, content, partial(complete, self.upload), sink_named(self.upload.sink))
        self._ended = True
        flusher.unwatch(self.upload.pk)
        return file

    def abort(self, reason: BaseException | None = None) -> None:
        """Discard the bytes, mark the upload as failed, release its reservation. A second call does nothing."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
        flusher.unwatch(self.upload.pk)
        self.intake.close()
        self.upload.offset = self.offset
        refusal = reason if isinstance(reason, Refusal) else Abandoned("The request ended too early.")
        try:
            if isinstance(refusal, Infected) and keeps_infected():
                quarantine_infected(self.upload, refusal, self.writer)
            else:
                self.writer.abort()
                if fail(self.upload, refusal):
                    # An earlier request may have made all bytes readable, for a virus scanner.
                    remove(sink_named(self.upload.sink), self.upload.key)
        except (SinkError, DatabaseFailure):
            # Housekeeping will end the row, which has no heartbeat any more, and remove the bytes.
            log.warning("upload_failure_not_written", upload=str(self.upload.pk), exc_info=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.abort(error)


def keeps_infected() -> bool:
    clamd = limits().clamd
    return clamd is not None and clamd.action is OnInfection.QUARANTINE


def quarantine_infected(upload: Upload, refusal: Infected, writer: Writer) -> None:
    """Keep infected bytes, where no file can name them. If a crash prevents it, the sweep moves them there."""
    key = writer.key
    try:
        # First: bytes that are committed, of an upload that could still be continued, are taken for its file.
        fail(upload, Infected(f"{refusal.detail} Its key there is {key}."), keep_bytes=True)
        writer.commit()
        sink_named(upload.sink).quarantine.put(key, "infected")
    finally:
        writer.close()
    log.warning("infected_content_in_quarantine", upload=str(upload.pk), key=key, **refusal.more)


@contextmanager
def storage_refusals() -> Iterator[None]:
    """Turn errors of the sink into refusals that tell the client to try again later."""
    try:
        yield
    except SinkFull as error:
        raise InsufficientStorage("The server's disk is full. Try again later.", retry_after=60) from error
    except SinkError as error:
        log.error("storage_failed", reason=str(error), exc_info=True)
        raise StorageUnavailable("The server's storage failed. Try again later.", retry_after=60) from error


def _reserve_more(upload: Upload, offset: int) -> int:
    """Reserve more for an upload of unknown size. Return how many bytes it has reserved now."""
    if upload.declared_size is not None:
        # Its size was reserved in full. For a form, that is the largest size that its file may have.
        raise TooLarge(f"More bytes arrived than announced or allowed: {exact_size(upload.declared_size)}.")
    with write():
        quota.lock_owner(upload.owner_id)
        allowed = limits_of(upload.owner_id)
        quota.check_size(offset, allowed.max_file_size)
        wanted = min(upload.reserved + disk_space.RESERVATION_STEP, max(allowed.max_file_size, offset))
        upload.reserved += disk_space.reserve(
            upload.owner_id, allowed, sink_named(upload.sink),
            needed=offset - upload.reserved, wanted=wanted - upload.reserved, is_growth=True,
        )  # fmt: skip
        Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            reserved=upload.reserved, offset=offset, heartbeat_at=Now()
        )
    release_connection()
    return upload.reserved
