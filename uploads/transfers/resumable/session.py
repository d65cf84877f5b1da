"""Resumable uploads: begun by one request, gone on with by others, on other servers if need be.

The sink's word on how many bytes there are is the truth; the row follows it. Whoever sends holds the sink's lock
on the bytes for a session.
"""

from collections.abc import Callable
from typing import Self
from uuid import UUID

import structlog
from django.db import Error as DatabaseFailure
from django.db.models.functions import Now
from django.utils import timezone

from ...conf import sink
from ...content.hashing import can_resume
from ...errors import (
    Gone,
    InvalidParams,
    OffsetMismatch,
    StorageUnavailable,
    TooLarge,
    UnsupportedMedia,
)
from ...models import Upload
from ...runtime.database_connections import let_go, write
from ...sinks.base import SinkError
from ...sinks.resumable import ResumableWriter
from .. import disk_space, quota
from ..admission import lifetime
from ..progress import flusher
from ..quota import limits_of
from ..reception import Reception, storage_refusals
from . import checkpoint
from .lock import PATIENCE, acquire

# What a kill -9 costs at most: so many bytes are read again, as nobody noted how their hash stands.
CHECKPOINT_EVERY = 8 * 1024**2
log = structlog.get_logger(__name__)


def check_first_body(owner_id: int, length: int, announced: int | None) -> None:
    """Whether so many bytes may come along with the creation of an upload, before there is one."""
    if announced is None:
        quota.check_size(length, limits_of(owner_id).max_file_size)
    _check_end(length, announced)


def _check_end(end: int, announced: int | None) -> None:
    """Whether bytes may come up to here."""
    if announced is not None and end > announced:
        raise TooLarge(f"{announced} bytes were announced; with these there would be {end}.")


class Session:
    """One request's session on a resumable upload: open -> expect -> feed -> finish_request, and close.

    It holds the lock on the bytes. Leaving it as a context keeps what came, for the next session.
    """

    def __init__(self, upload: Upload, writer: ResumableWriter) -> None:
        self.upload = upload
        self.speed = 0  # of the sessions before it, if they were just now
        self._writer = writer
        self._reception = Reception(upload, writer, checkpoint.load(writer))
        self._is_hashed = True
        self._hash_what_came_before()
        self._began_at = self._checkpoint_at = self.offset
        self._counts = True  # what came; not before its checksum is verified, if it has one
        self._refusal: UnsupportedMedia | None = None
        self._is_closed = False

    @classmethod
    def open(cls, upload_id: UUID, stop: Callable[[], None] | None = None, patience: float = PATIENCE) -> Self:
        """Wait for the lock. `stop` ends the session when the next request asks for it; without, it must be short."""
        with storage_refusals():
            upload, writer = acquire(upload_id, patience)
            try:
                if stop is not None and upload.heartbeat_at is None:  # else it has been moving all along
                    start_sending(upload)
                if upload.unverified_from is not None:
                    writer.truncate(min(upload.unverified_from, writer.offset))
                session = cls(upload, writer)
            except BaseException:
                writer.close()
                raise
        if stop is not None:
            session.speed = flusher.watch(upload.pk, lambda: session.offset, stop, upload.declared_size)
        return session

    @property
    def offset(self) -> int:
        return self._reception.offset

    @property
    def is_whole(self) -> bool:
        return self.upload.declared_size is not None and self.offset == self.upload.declared_size

    def expect(self, offset: int, *, length: int | None, size: int | None, has_checksum: bool) -> None:
        """What the request says of its bytes: where they begin, how many they are, and, if it was open, the size."""
        if offset != self.offset:
            raise OffsetMismatch(f"{self.offset} bytes are here. Go on from there.")
        declared = self.upload.declared_size
        if size is not None and (declared not in {None, size} or size < offset):
            raise InvalidParams("The size was said before, or is less than what has come.")
        end = offset + (length or 0)
        announced = size if size is not None else declared
        if declared is None:
            quota.check_size(max(end, size or 0), limits_of(self.upload.owner_id).max_file_size)
        _check_end(end, announced)
        if size is not None and declared is None:
            self._declare(size)
        if has_checksum:
            # On the row before the first byte is: bytes that a crash leaves unverified must not count afterwards.
            self._counts = False
            self._write_unverified_from(offset)
        let_go()

    def feed(self, data: bytes | memoryview) -> None:
        # Before, not after: by now the hash has done with the bytes of last time, and nobody has to wait for it.
        if self._counts and self.offset - self._checkpoint_at >= CHECKPOINT_EVERY:
            with storage_refusals():
                self._save_checkpoint()
        if self._refusal is not None:
            return
        try:
            self._reception.feed(data)
        except UnsupportedMedia as refusal:
            if self._counts:
                raise
            self._refusal = refusal  # or it was damaged on its way: the checksum tells, when the rest has come

    def finish_request(self) -> None:
        """All the request's bytes came, and are what was meant. If they were the last, the upload is complete."""
        if self._refusal is not None:
            raise self._refusal
        if self.is_whole and not self._counts:
            # Before the first step of keeping them: whoever mends that after a crash must not cut them off again.
            self._write_unverified_from(None)
        self._counts = True
        if self.is_whole:
            self._make_file()
        else:
            with storage_refusals():
                self._reception.intake.pause()
                self._writer.flush()

    def _make_file(self) -> None:
        if not self._is_hashed:
            self._reception.intake.hash = checkpoint.hash_bytes(self.upload.key, self._writer.offset)
        try:
            self._reception.make_file()
            self._is_closed = True
        except StorageUnavailable as error:
            self.close(error)
            self.upload.refresh_from_db()
            if self.upload.file is None:
                raise
            # Another request that found all the bytes was first.
        self.upload.expires_at = None

    def close(self, reason: BaseException | None = None) -> None:
        """Keep what came, unless it can never become a file. Once; then it does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if isinstance(reason, UnsupportedMedia):
            self._reception.abort(reason)
            return
        try:
            self._keep()
        except (SinkError, DatabaseFailure):
            # The bytes that reached the sink are there; housekeeping brings the row up to them.
            flusher.unwatch(self.upload.pk)
            log.warning("upload_turn_not_written", upload=str(self.upload.pk), exc_info=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close(error)

    def _write_unverified_from(self, offset: int | None) -> None:
        with write():
            Upload.objects.filter(pk=self.upload.pk).update(unverified_from=offset)
        self.upload.unverified_from = offset

    def _declare(self, size: int) -> None:
        owner_id, missing = self.upload.owner_id, size - self.upload.reserved
        with write():
            quota.lock_owner(owner_id)
            if missing > 0:
                disk_space.reserve(owner_id, limits_of(owner_id), sink(), needed=missing, wanted=missing)
            Upload.objects.filter(pk=self.upload.pk).update(declared_size=size, reserved=size)
        self.upload.declared_size = self.upload.reserved = self._reception.intake.granted = size

    def _hash_what_came_before(self) -> None:
        """Read again what no note covers: after a kill -9 a little, without a hash that can go on the head alone."""
        intake, missing = self._reception.intake, self._writer.offset - self.offset
        for piece in checkpoint.pieces(self.upload.key, self.offset) if missing else ():
            intake.recall(piece)
            if intake.is_judged and not can_resume():
                intake.offset, self._is_hashed = self._writer.offset, False
                break

    def _keep(self) -> None:
        try:
            if self._counts:
                self._reception.intake.pause()
                self._save_checkpoint()
        finally:
            self._writer.close()
        upload, kept = self.upload, self._writer.offset if self._counts else self._began_at
        if kept > self._began_at:
            upload.expires_at = timezone.now() + lifetime(kept)
        row = (upload.offset, upload.heartbeat_at, upload.unverified_from)
        if self._counts and upload.unverified_from is None and flusher.is_held(upload.pk):
            flusher.leave(upload.pk, kept, upload.expires_at)
        elif row != (kept, None, None):
            flusher.unwatch(upload.pk)
            with write():
                Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
                    offset=kept, speed=0, heartbeat_at=None, paused_at=Now(), expires_at=upload.expires_at,
                    unverified_from=None if self._counts else self._began_at,
                )  # fmt: skip

    def _save_checkpoint(self) -> None:
        if self.offset > self._checkpoint_at and checkpoint.save(self._reception.intake, self._writer):
            self._checkpoint_at = self.offset


def start_sending(upload: Upload) -> None:
    """Count a paused upload as one that is being sent, if its owner may send one more."""
    with write():
        quota.lock_owner(upload.owner_id)
        allowed = limits_of(upload.owner_id)
        quota.check_parallel(upload.owner_id, allowed.max_uploads)
        row = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING)
        reserved = disk_space.renew_reservation(upload, allowed, sink())
        while not row.filter(reserved=upload.reserved).update(heartbeat_at=Now(), reserved=reserved):
            # The promise lapsed after we read the row.
            held = row.values_list("reserved", flat=True).first()
            if held is None:
                raise Gone("This upload has been deleted.")
            upload.reserved = held
            reserved = disk_space.renew_reservation(upload, allowed, sink())
    upload.reserved = reserved
