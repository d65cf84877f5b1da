"""One upload from its announcement to its file: every entrance goes open -> feed -> commit, or abort."""

import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import structlog
from django.contrib.auth.models import User
from django.db import Error as DatabaseFailure
from django.db.models.functions import Now
from django.utils import timezone

from . import metrics, reserving
from .conf import limits, sink
from .connections import let_go, write
from .errors import (
    Abandoned,
    EmptyFile,
    InFlight,
    InsufficientStorage,
    InvalidParams,
    KeyReused,
    Refusal,
    StorageUnavailable,
    TooLarge,
)
from .intake import Content, Intake
from .models import Blob, MediaFile, Upload
from .names import clean_name
from .progress import INTERVAL, flusher
from .registry import upload_ended
from .sinks.base import SinkError, SinkFull, Writer
from .storing import new_key, store
from .transitions import record

KEY_KEPT = timedelta(hours=24)
LONGEST_KEY = 255
_SECOND_LOOK = 4 * INTERVAL
log = structlog.get_logger(__name__)


class Replay(Exception):  # not an error: the request was carried out before, and here is what it made
    def __init__(self, upload: Upload) -> None:
        super().__init__(str(upload.pk))
        self.upload = upload

    @property
    def file(self) -> MediaFile:
        assert self.upload.file is not None  # only resumable uploads are replayed before they are complete
        return self.upload.file


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is known of an upload before its first byte."""

    owner: User
    name: str
    protocol: Upload.Protocol
    size: int | None = None  # at most this many bytes will come; None: nobody knows
    key: str = ""  # Idempotency-Key
    route: str = ""
    claims: str = ""
    length: int | None = None  # of the request, as its client sees it
    # Of a resumable upload: how long it is kept for its client, and what that has said about it.
    kept_for: timedelta | None = None
    metadata: str = ""

    def fingerprint(self) -> str:
        said = (self.route, self.name, str(self.length), self.claims)
        return hashlib.sha256("\0".join(said).encode()).hexdigest()


class Reception:
    """An upload on its way: its row, its Writer and its Intake. Leaving it as a context uncommitted aborts it."""

    def __init__(self, upload: Upload, writer: Writer, intake: Intake) -> None:
        self.upload, self._writer, self._intake = upload, writer, intake
        self.content: Content | None = None
        self._ended = False
        self._ending = threading.Lock()
        self._started = time.monotonic()

    @classmethod
    def open(cls, announcement: Announcement, writer: Writer | None = None) -> Self:
        """Check everything that can be checked before the first byte, reserve, and open a Writer."""
        try:
            upload = admit(announcement)
        except Refusal as refusal:
            metrics.UPLOADS.labels(announcement.protocol, "refused", refusal.code).inc()
            raise
        try:
            with storage_refusals():
                writer = writer or sink().create(new_key(), size=announcement.size)
        except Refusal as refusal:
            fail(upload, refusal)
            raise
        intake = new_intake(upload, writer)
        flusher.watch(upload.pk, lambda: intake.offset)
        let_go()
        return cls(upload, writer, intake)

    def feed(self, data: bytes | memoryview) -> None:
        with storage_refusals():
            self._intake.feed(data)
        metrics.BYTES_IN.inc(len(data))

    def seal(self) -> Content:
        """There are no more bytes."""
        with storage_refusals():
            self.content = self._intake.finish()
        return self.content

    def commit(self) -> MediaFile:
        """Keep the bytes and make them a file. On return both are durable and visible."""
        content = self.content or self.seal()
        try:
            with storage_refusals():
                file = store(self._writer, content, lambda blob: complete(self.upload, blob))
        except BaseException as error:
            self.abort(error)
            raise
        self._ended = True
        flusher.unwatch(self.upload.pk)
        metrics.UPLOADS.labels(self.upload.protocol, "complete", "").inc()
        metrics.DURATION.observe(time.monotonic() - self._started)
        metrics.SIZE.observe(content.size)
        return file

    def abort(self, reason: BaseException | None = None) -> None:
        """Throw the bytes away, write down why, and give back what was reserved. Once; then it does nothing."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
        flusher.unwatch(self.upload.pk)
        self.upload.offset = self._intake.offset
        refusal = reason if isinstance(reason, Refusal) else Abandoned("The request ended before its upload did.")
        try:
            self._writer.abort()
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


def new_intake(upload: Upload, writer: Writer, **begun: Any) -> Intake:
    """An Intake as this upload may use it; `begun` is where an earlier one had come to."""
    return Intake(
        writer, grow=lambda offset: _grow(upload, offset), granted=upload.reserved,
        accept=limits().accept, pace=limits().pace, **begun,
    )  # fmt: skip


def complete(upload: Upload, blob: Blob) -> MediaFile:
    """The MediaFile of an upload's bytes; in the same transaction the Upload ends."""
    file = MediaFile.objects.create(owner=upload.owner, name=upload.name, blob=blob, origin=_origin(upload))
    ended = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
        state=Upload.State.COMPLETE, offset=blob.size, declared_size=blob.size, reserved=0, file=file,
        heartbeat_at=Now(), finished_at=Now(), expires_at=None,
    )  # fmt: skip
    if ended != 1:
        raise StorageUnavailable("The server lost sight of this upload and ended it. Send it again.")
    record("upload", upload.pk, Upload.State.COMPLETE)
    for act in upload_ended:
        act(upload, file)
    return file


def admit(announcement: Announcement) -> Upload:
    name, owner, size = clean_name(announcement.name), announcement.owner, announcement.size
    if size == 0:
        raise EmptyFile("The file is empty.")
    reserving.check_size(size or 0)
    with write():
        reserving.lock_owner(owner.pk)
        if announcement.key:
            _claim_key(announcement)
        reserving.check_turn(owner.pk)
        resumable: dict[str, Any] = {}
        if announcement.kept_for is not None:
            reserving.check_unfinished(owner)
            identity = uuid.uuid4()
            resumable = {
                "id": identity, "key": str(identity), "metadata": announcement.metadata, "heartbeat_at": None,
                "expires_at": timezone.now() + announcement.kept_for,
            }  # fmt: skip
        wanted = size or min(reserving.STEP, limits().max_file_size)
        reserved = reserving.grant(owner, sink(), needed=size or 1, wanted=wanted)
        upload = Upload.objects.create(
            owner=owner, name=name, protocol=announcement.protocol, sink=sink().name, declared_size=size,
            reserved=reserved, route=announcement.route, idempotency_key=announcement.key,
            fingerprint=announcement.fingerprint(), **({"heartbeat_at": Now()} | resumable),
        )  # fmt: skip
        record("upload", upload.pk, Upload.State.RECEIVING)
    return upload


def _claim_key(announcement: Announcement) -> None:
    """Make the Idempotency-Key free for us, or say who has it. Under the owner's lock."""
    if len(announcement.key) > LONGEST_KEY:
        raise InvalidParams(f"An Idempotency-Key may have {LONGEST_KEY} characters.")
    holders = Upload.objects.filter(
        owner=announcement.owner, route=announcement.route, idempotency_key=announcement.key
    ).exclude(state=Upload.State.FAILED)
    holders.filter(state=Upload.State.COMPLETE, finished_at__lt=Now() - KEY_KEPT).exclude(
        protocol=Upload.Protocol.INGEST
    ).update(idempotency_key="")
    holder = holders.select_related("file").first()
    if holder is None:
        return
    if holder.fingerprint != announcement.fingerprint():
        raise KeyReused("This Idempotency-Key was used for another request. Choose a new one.")
    if holder.file is not None or holder.is_resumable:
        raise Replay(holder)
    if reserving.live_uploads().filter(pk=holder.pk).exists():
        raise InFlight("The request with this Idempotency-Key is still on its way.", retry_after=5)
    if not fail(holder, Abandoned("Its client came again with the same Idempotency-Key.")):
        _claim_key(announcement)  # it ended by itself between our two looks: look again


def _grow(upload: Upload, offset: int) -> int:
    """More bytes came than were reserved: reserve further, a step at a time."""
    reserving.check_size(offset)
    if upload.declared_size is not None:
        # The announced size was promised in full, so whoever passes it says more than it announced.
        raise TooLarge(f"{upload.declared_size} bytes were announced and more came.")
    owner = upload.owner
    wanted = min(upload.reserved + reserving.STEP, max(limits().max_file_size, offset)) - upload.reserved
    with write():
        reserving.lock_owner(owner.pk)
        more = reserving.grant(owner, sink(), needed=offset - upload.reserved, wanted=wanted)
        upload.reserved += more
        Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            reserved=upload.reserved, offset=offset, heartbeat_at=Now()
        )
    let_go()
    return upload.reserved


def fail(upload: Upload, refusal: Refusal) -> bool:
    """End an upload that is on its way. False if it had ended already, and however it did stays."""
    with write():
        ended = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            state=Upload.State.FAILED, reserved=0, offset=upload.offset, error_code=refusal.code,
            error_detail=refusal.detail[:500], finished_at=Now(),
        )  # fmt: skip
        if ended:
            record("upload", upload.pk, Upload.State.FAILED, refusal.code)
            for act in upload_ended:
                act(upload, None)
    if ended:
        metrics.UPLOADS.labels(upload.protocol, "failed", refusal.code).inc()
    return bool(ended)


def fail_stalled() -> int:
    """End the one-shot uploads that nobody holds any more: their server died, or was cut off from the database."""
    one_shot = reserving.stalled_uploads().filter(key="")
    looked = dict(one_shot.values_list("pk", "heartbeat_at"))
    if not looked:
        return 0
    # A clock that jumped makes every upload look stalled, until its holder writes the next time.
    time.sleep(_SECOND_LOOK)
    stalled = [upload for upload in one_shot.all() if looked.get(upload.pk) == upload.heartbeat_at]
    for upload in stalled:
        fail(upload, Abandoned("The server that received it stopped before it was complete."))
    return len(stalled)


def _origin(upload: Upload) -> MediaFile.Origin:
    ingested = upload.protocol == Upload.Protocol.INGEST
    return MediaFile.Origin.INGEST if ingested else MediaFile.Origin.UPLOAD
