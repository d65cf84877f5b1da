"""One upload from its announcement to its file: every entrance goes open -> feed -> commit, or abort."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

import structlog
from django.db import Error as DatabaseFailure
from django.db.models.functions import Now

from ..conf import limits, sink
from ..content.intake import Content, Intake
from ..errors import Abandoned, InsufficientStorage, Refusal, StorageUnavailable, TooLarge
from ..models import MediaFile, Upload
from ..runtime.ballast_file import ballast
from ..runtime.database_connections import let_go, write
from ..sinks.base import SinkError, SinkFull, Writer
from ..storage.blobs import new_key, store
from . import disk_space, quota, upload_counters
from .admission import Announcement, admit
from .completion import complete, fail
from .progress import flusher
from .quota import limits_of
from .resumable.checkpoint import Checkpoint

log = structlog.get_logger(__name__)
_LOOK = 0.5  # seconds between two looks at the disk while bytes flow


class Reception:
    """An upload on its way: its row, its Writer and its Intake. Leaving it as a context uncommitted aborts it.

    A resumable upload has a Reception for each request that sends some of it (`resumable.session.Session`).
    """

    def __init__(self, upload: Upload, writer: Writer, checkpoint: Checkpoint | None = None) -> None:
        self.upload, self.writer = upload, writer
        self.intake = Intake(
            writer, grow=partial(_reserve_more, upload), granted=upload.reserved,
            accept=limits().accept, pace=limits().pace, **(checkpoint.intake_state() if checkpoint else {}),
        )  # fmt: skip
        self.content: Content | None = None
        self._ended = False
        self._ending = threading.Lock()
        self._looked = float("-inf")

    @classmethod
    def open(cls, announcement: Announcement, writer: Writer | None = None) -> Self:
        """Check everything that can be checked before the first byte, reserve, and open a Writer."""
        upload = admit(announcement)
        try:
            with storage_refusals():
                writer = writer or sink().create(new_key(), size=announcement.size)
        except Refusal as refusal:
            fail(upload, refusal)
            raise
        reception = cls(upload, writer)
        flusher.watch(upload.pk, lambda: reception.offset, size=upload.declared_size)
        let_go()
        return reception

    @property
    def offset(self) -> int:
        return self.intake.offset

    def feed(self, data: bytes | memoryview) -> None:
        if time.monotonic() - self._looked > _LOOK:
            self._leave_ballast_alone()
        with storage_refusals():
            self.intake.feed(data)
        upload_counters.RECEIVED.inc(len(data))

    def _leave_ballast_alone(self) -> None:
        """Somebody else has taken the room that was kept for this upload. It must not take the ballast's for it."""
        self._looked = time.monotonic()
        if ballast().is_low and ballast().is_on_disk_of(limits().media_root):
            raise InsufficientStorage("The server's disk is full. Try again later.", retry_after=60)

    def seal(self) -> Content:
        """There are no more bytes."""
        with storage_refusals():
            self.content = self.intake.finish()
        return self.content

    def commit(self) -> MediaFile:
        """Keep the bytes and make them a file, or abort. On return both are durable and visible."""
        if self.content is None:
            self.seal()
        try:
            return self.make_file()
        except BaseException as error:
            self.abort(error)
            raise

    def make_file(self) -> MediaFile:
        """The same, but a failure leaves everything as it is: a resumable upload can be gone on with."""
        content = self.content or self.seal()
        with storage_refusals():
            file = store(self.writer, content, partial(complete, self.upload))
        self._ended = True
        flusher.unwatch(self.upload.pk)
        return file

    def abort(self, reason: BaseException | None = None) -> None:
        """Throw the bytes away, write down why, and give back what was reserved. Once; then it does nothing."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
        flusher.unwatch(self.upload.pk)
        self.upload.offset = self.offset
        refusal = reason if isinstance(reason, Refusal) else Abandoned("The request ended before its upload did.")
        try:
            self.writer.abort()
            fail(self.upload, refusal)
        except (SinkError, DatabaseFailure):
            # Nothing is lost: housekeeping finds the row without a heartbeat, and the bytes without a row.
            log.warning("upload_end_not_written", upload=str(self.upload.pk), exc_info=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.abort(error)


@contextmanager
def storage_refusals() -> Iterator[None]:
    try:
        yield
    except SinkFull as error:
        raise InsufficientStorage("The server's disk is full. Try again later.", retry_after=60) from error
    except SinkError as error:
        log.error("storage_failed", reason=str(error), exc_info=True)
        raise StorageUnavailable("The server's disk does not work. Try again later.", retry_after=60) from error


def _reserve_more(upload: Upload, offset: int) -> int:
    """More bytes came than were reserved: reserve further, a step at a time."""
    if upload.declared_size is not None:
        # The announced size was promised in full. That of a form is what its file may have at most.
        raise TooLarge(f"More bytes came than the {upload.declared_size} that were announced or are allowed.")
    with write():
        quota.lock_owner(upload.owner_id)
        allowed = limits_of(upload.owner_id)
        quota.check_size(offset, allowed.max_file_size)
        wanted = min(upload.reserved + disk_space.RESERVATION_STEP, max(allowed.max_file_size, offset))
        upload.reserved += disk_space.reserve(
            upload.owner_id, allowed, sink(),
            needed=offset - upload.reserved, wanted=wanted - upload.reserved, is_growth=True,
        )  # fmt: skip
        Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            reserved=upload.reserved, offset=offset, heartbeat_at=Now()
        )
    let_go()
    return upload.reserved
