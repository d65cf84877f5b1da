"""Resumable uploads: each request that sends bytes opens a session, on any server.

The sink knows how many bytes have arrived; the row follows. A session holds the lock on the bytes.
"""

from collections.abc import Callable
from typing import Self
from uuid import UUID

import structlog
from django.db import Error as DatabaseFailure
from django.db.models.functions import Now
from django.utils import timezone

from ...conf import virus_scan
from ...content.hashing import can_resume
from ...errors import (
    ContentRefused,
    Gone,
    InvalidParams,
    OffsetMismatch,
    StorageUnavailable,
    TooLarge,
    UnsupportedMedia,
)
from ...models import Upload
from ...runtime.database_connections import release_connection, write
from ...sinks.base import SinkError
from ...sinks.resumable import ResumableWriter
from ...storage.stores import resumable_sink, sink_named
from .. import disk_space, quota
from ..progress import flusher
from ..quota import limits_of
from ..reception import Reception, storage_refusals
from . import checkpoint
from .expiry import lifetime
from .lock import PATIENCE, acquire

log = structlog.get_logger(__name__)


def check_first_body(owner_id: int, length: int, announced: int | None) -> None:
    """Refuse a body that comes with the creation of an upload if it is too large, before the upload is created."""
    if announced is None:
        quota.check_size(length, limits_of(owner_id).max_file_size)
    _check_end(length, announced)


def _check_end(end: int, announced: int | None) -> None:
    """Refuse bytes beyond the announced size."""
    if announced is not None and end > announced:
        raise TooLarge(f"The upload was announced with {announced} bytes; with this request it would have {end}.")


class Session:
    """One request's session on a resumable upload: open -> expect -> feed -> finish_request, and close.

    It holds the lock on the bytes. Leaving the context keeps the bytes that arrived, for the next session.
    """

    def __init__(self, upload: Upload, writer: ResumableWriter) -> None:
        self.upload = upload
        self.speed = 0  # in bytes per second, of the sessions directly before
        self._place, self._writer = resumable_sink(upload.sink), writer
        self._reception = Reception(upload, writer, checkpoint.load(self._place, writer))
        self._is_hashed = True
        self._hash_earlier_bytes()
        self._began_at = self._checkpoint_at = self.offset
        self._is_verified = True  # False until the checksum of the request is verified, if it has one
        self._refusal: UnsupportedMedia | None = None
        self._is_closed = False

    @classmethod
    def open(cls, upload_id: UUID, stop: Callable[[], None] | None = None, patience: float = PATIENCE) -> Self:
        """Wait for the lock. `stop` is called when another request asks for it; a short session needs none."""
        with storage_refusals():
            upload, writer = acquire(upload_id, patience)
            try:
                checkpoint.require_continuable(resumable_sink(upload.sink))
                if stop is not None and upload.heartbeat_at is None:  # else it counts as being sent already
                    start_sending(upload)
                if upload.unverified_from is not None:
                    writer.truncate(min(upload.unverified_from, writer.offset))
                session = cls(upload, writer)
            except BaseException:
                writer.close()
                raise
        if stop is not None:
            writer.call_when_lost(stop)
            session.speed = flusher.watch(upload.pk, lambda: session.offset, stop, upload.declared_size)
        return session

    @property
    def offset(self) -> int:
        return self._reception.offset

    @property
    def is_whole(self) -> bool:
        return self.upload.declared_size is not None and self.offset == self.upload.declared_size

    def expect(self, offset: int, *, length: int | None, size: int | None, has_checksum: bool) -> None:
        """Check what the request announces: the offset and length of its bytes, and the size if it was deferred."""
        if offset != self.offset:
            raise OffsetMismatch(f"The server has {self.offset} bytes of this upload. Continue from there.")
        declared = self.upload.declared_size
        if size is not None and (declared not in {None, size} or size < offset):
            raise InvalidParams("Upload-Length differs from the announced size, or is below the current offset.")
        end = offset + (length or 0)
        announced = size if size is not None else declared
        if declared is None:
            quota.check_size(max(end, size or 0), limits_of(self.upload.owner_id).max_file_size)
        _check_end(end, announced)
        if size is not None and declared is None:
            self._declare(size)
        if has_checksum:
            self._is_verified = False
            if not self._writer.flushes_atomically:
                # Written before the first byte arrives: bytes that a crash leaves unverified must not count.
                self._write_unverified_from(offset)
        release_connection()

    def feed(self, data: bytes | memoryview) -> None:
        """Receive the next bytes."""
        # Before this piece, not after: the hash of the last one is finished by now, so there is nothing to wait for.
        if self._is_verified and self._writer.wants_checkpoint(len(data)):
            with storage_refusals():
                self._save_checkpoint()
        if self._refusal is not None:
            return
        try:
            self._reception.feed(data)
        except UnsupportedMedia as refusal:
            if self._is_verified:
                raise
            self._refusal = refusal  # or damaged in transit: the checksum decides, after the last byte

    def finish_request(self) -> None:
        """Accept the request's bytes: all arrived and match their checksum. Complete the upload if it is whole."""
        if self._refusal is not None:
            raise self._refusal
        if self.is_whole and self.upload.unverified_from is not None:
            # Before the file is made: recovery after a crash must not cut these bytes off again.
            self._write_unverified_from(None)
        self._is_verified = True
        if self.is_whole:
            self._make_file()
        else:
            with storage_refusals():
                self._flush()

    def _make_file(self) -> None:
        if not self._is_hashed:
            self._reception.intake.hash = checkpoint.hash_bytes(self._place, self.upload.key, self._writer.offset)
        self._scan()
        try:
            self._reception.make_file()
            self._is_closed = True
        except StorageUnavailable as error:
            self.close(error)
            self.upload.refresh_from_db()
            if self.upload.file is None:
                raise
            # Another request found all the bytes and completed the upload first.
        self.upload.expires_at = None

    def _scan(self) -> None:
        """Let the virus scanner read all bytes: a scan of the first ones cannot be continued by another request.

        If it fails, or a crash ends it, the upload stays complete but for this, and the next session scans again.
        """
        scan = virus_scan()
        if scan is None:
            return
        with scan, storage_refusals():
            self._reception.seal()
            self._writer.make_readable()
            for piece in checkpoint.pieces(self._place, self.upload.key, 0):
                scan.feed(piece)
            scan.finish()

    def close(self, reason: BaseException | None = None) -> None:
        """Keep the bytes that arrived, unless they cannot become a file. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if isinstance(reason, ContentRefused):
            self._reception.abort(reason)
            return
        try:
            self._keep()
        except (SinkError, DatabaseFailure):
            # The bytes are in the sink; housekeeping will update the row.
            flusher.unwatch(self.upload.pk)
            log.warning("upload_session_not_written", upload=str(self.upload.pk), exc_info=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close(error)

    def _write_unverified_from(self, offset: int | None) -> None:
        with write():
            Upload.objects.filter(pk=self.upload.pk).update(unverified_from=offset)
        self.upload.unverified_from = offset

    def _declare(self, size: int) -> None:
        """Set the size of an upload that deferred it, and reserve space for all of it."""
        owner_id, missing = self.upload.owner_id, size - self.upload.reserved
        with write():
            quota.lock_owner(owner_id)
            if missing > 0:
                disk_space.reserve(owner_id, limits_of(owner_id), self._place, needed=missing, wanted=missing)
            Upload.objects.filter(pk=self.upload.pk).update(declared_size=size, reserved=size)
        self.upload.declared_size = self.upload.reserved = self._reception.intake.granted = size

    def _hash_earlier_bytes(self) -> None:
        """Hash bytes that no checkpoint covers: some after kill -9, all where the hash state cannot be saved.

        In the second case only the first bytes are read now, to know the media type; the rest at the end.
        """
        intake, missing = self._reception.intake, self._writer.offset - self.offset
        for piece in checkpoint.pieces(self._place, self.upload.key, self.offset) if missing else ():
            intake.feed_stored(piece)
            if intake.is_sniffed and not can_resume():
                intake.offset, self._is_hashed = self._writer.offset, False
                break

    def _keep(self) -> None:
        """Save a checkpoint, flush, release the lock, and write the row."""
        try:
            if self._is_verified:
                self._flush()
        finally:
            self._writer.close()
        upload, kept = self.upload, self._writer.offset if self._is_verified else self._began_at
        if kept > self._began_at:
            upload.expires_at = timezone.now() + lifetime(kept)
        row = (upload.offset, upload.heartbeat_at, upload.unverified_from)
        if self._is_verified and upload.unverified_from is None and flusher.is_held(upload.pk):
            flusher.leave(upload.pk, kept, upload.expires_at)
        elif row != (kept, None, None):
            flusher.unwatch(upload.pk)
            with write():
                Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
                    offset=kept, speed=0, heartbeat_at=None, paused_at=Now(), expires_at=upload.expires_at,
                    unverified_from=None if self._is_verified else upload.unverified_from,
                )  # fmt: skip

    def _flush(self) -> None:
        self._reception.intake.pause()
        self._save_checkpoint()
        self._writer.flush()

    def _save_checkpoint(self) -> None:
        if self.offset > self._checkpoint_at and checkpoint.save(self._reception.intake, self._writer):
            self._checkpoint_at = self.offset


def start_sending(upload: Upload) -> None:
    """Start to send a paused upload: check the limit of parallel uploads, and renew its reservation."""
    place = sink_named(upload.sink)
    with write():
        quota.lock_owner(upload.owner_id)
        allowed = limits_of(upload.owner_id)
        quota.check_parallel(upload.owner_id, allowed.max_uploads)
        row = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING)
        reserved = disk_space.renew_reservation(upload, allowed, place)
        while not row.filter(reserved=upload.reserved).update(heartbeat_at=Now(), reserved=reserved):
            # The reservation was released after the row was read.
            current = row.values_list("reserved", flat=True).first()
            if current is None:
                raise Gone("This upload has been deleted.")
            upload.reserved = current
            reserved = disk_space.renew_reservation(upload, allowed, place)
    upload.reserved = reserved
