"""Resumable uploads: begun by one request, gone on with by others, on other servers if need be.

The sink's word on how many bytes there are is the truth; the row follows it. Whoever sends holds the sink's lock
on the bytes for a turn. Where SHA-256 has come to is noted beside the bytes as they flow, so that the next turn,
in whatever process, goes on from there.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import structlog
from django.db import Error as DatabaseFailure
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from . import reserving
from .conf import limits, sink
from .connections import let_go, write
from .errors import (
    AlreadyComplete,
    Expired,
    Forbidden,
    Gone,
    InvalidParams,
    Locked,
    OffsetMismatch,
    Refusal,
    StorageUnavailable,
    Terminated,
    TooLarge,
    UnsupportedMedia,
)
from .hashing import Sha256, can_resume
from .intake import Content
from .marking import is_ours
from .models import Blob, MediaFile, Upload
from .progress import INTERVAL, flusher
from .receiving import Announcement, Reception, admit, complete, fail, new_intake, storage_refusals
from .sinks.base import Held, NoSuchKey, SinkError, Writer
from .sniffing import Kind, MediaType
from .storing import find_claim, store

# So long a newcomer waits for the request that holds an upload to let go.
PATIENCE = 5.0
_LOOK_AGAIN = 0.02
# An upload that nothing was sent of is kept no longer than this.
EMPTY_KEPT = timedelta(hours=1)
# What a kill -9 costs at most: so many bytes are read again, as nobody noted how their hash stands.
NOTE_EVERY = 8 * 1024**2
_PIECE = 1024**2
# Finds the upload that a request is about, as it is now, or refuses.
Find = Callable[[], Upload]
log = structlog.get_logger(__name__)


def begin(announcement: Announcement) -> Upload:
    """A row, and room reserved. The first byte makes the rest."""
    return admit(announcement)


def kept_for(offset: int) -> timedelta:
    kept = timedelta(seconds=limits().upload_expiry)
    return kept if offset else min(kept, EMPTY_KEPT)


class Turn(Reception):
    """One request's turn at a resumable upload. Leaving it as a context keeps what came, for the next turn."""

    def __init__(self, upload: Upload, writer: Writer) -> None:
        super().__init__(upload, writer, new_intake(upload, writer, **_where_it_was(upload.key, writer.offset)))
        self.speed = 0  # of the turns before it, if they were just now
        self._is_hashed = True
        self._recall()
        self._noted = self._begun_at = self.offset
        self._counts = True  # what came; not before its checksum is verified, if it has one
        self._refusal: UnsupportedMedia | None = None

    @classmethod
    def take(cls, key: str, find: Find, stop: Callable[[], None] | None = None, patience: float = PATIENCE) -> Self:
        """Wait for a turn. `stop` ends it when the next request asks for one; without, it is a short look."""
        with storage_refusals():
            upload, writer = _hold(key, find, patience)
            try:
                if stop is not None and upload.heartbeat_at is None:  # else it has been moving all along
                    _begin_to_move(upload)
                if upload.unverified_from is not None:
                    writer.cut(min(upload.unverified_from, writer.offset))
                turn = cls(upload, writer)
            except BaseException:
                writer.close()
                raise
        if stop is not None:
            turn.speed = flusher.watch(upload.pk, lambda: turn.offset, stop)
        return turn

    @property
    def offset(self) -> int:
        return self._intake.offset

    @property
    def is_whole(self) -> bool:
        return self.upload.declared_size is not None and self.offset == self.upload.declared_size

    def expect(self, offset: int, *, length: int | None, size: int | None, checked: bool) -> None:
        """What the request says of its bytes: where they begin, how many they are, and, if it was open, the size."""
        if offset != self.offset:
            raise OffsetMismatch(f"{self.offset} bytes are here. Go on from there.")
        declared = self.upload.declared_size
        if size is not None and (declared not in {None, size} or size < offset):
            raise InvalidParams("The size was said before, or is less than what has come.")
        end = offset + (length or 0)
        announced = size if size is not None else declared
        reserving.check_size(max(end, size or 0))
        if announced is not None and end > announced:
            raise TooLarge(f"{announced} bytes were announced; with these there would be {end}.")
        if size is not None and declared is None:
            self._declare(size)
        if checked:
            # On the row before the first byte is: bytes that a crash leaves unverified must not count afterwards.
            self._counts = False
            self._write_down_unverified(offset)
        let_go()

    def feed(self, data: bytes | memoryview) -> None:
        # Before, not after: by now the hash has done with the bytes of last time, and nobody has to wait for it.
        if self._counts and self.offset - self._noted >= NOTE_EVERY:
            with storage_refusals():
                self._note()
        if self._refusal is not None:
            return
        try:
            super().feed(data)
        except UnsupportedMedia as refusal:
            if self._counts:
                raise
            self._refusal = refusal  # or it was damaged on its way: the checksum tells, when the rest has come

    def end(self) -> None:
        """All the request's bytes came, and are what was meant. If they were the last, the upload is complete."""
        if self._refusal is not None:
            raise self._refusal
        if self.is_whole and not self._counts:
            # Before the first step of keeping them: whoever mends that after a crash must not cut them off again.
            self._write_down_unverified(None)
        self._counts = True
        if self.is_whole:
            self.commit()

    def commit(self) -> MediaFile:
        if not self._is_hashed:
            self._intake.hash = _hash_all(self.upload.key)
        try:
            file = super().commit()
        except StorageUnavailable:
            self.upload.refresh_from_db()
            if self.upload.file is None:
                raise
            file = self.upload.file  # another request that found all the bytes was first
        self.upload.expires_at = None
        return file

    def abort(self, reason: BaseException | None = None) -> None:
        """Keep what came, unless it can never become a file."""
        if isinstance(reason, UnsupportedMedia):
            super().abort(reason)
        elif not self._ended:
            self._ended = True
            try:
                self._keep()
            except (SinkError, DatabaseFailure):
                # The bytes that reached the sink are there; housekeeping brings the row up to them.
                flusher.unwatch(self.upload.pk)
                log.warning("upload_turn_not_written", upload=str(self.upload.pk), exc_info=True)

    def _write_down_unverified(self, offset: int | None) -> None:
        with write():
            Upload.objects.filter(pk=self.upload.pk).update(unverified_from=offset)
        self.upload.unverified_from = offset

    def _declare(self, size: int) -> None:
        owner, missing = self.upload.owner, size - self.upload.reserved
        with write():
            reserving.lock_owner(owner.pk)
            if missing > 0:
                reserving.grant(owner, sink(), needed=missing, wanted=missing)
            Upload.objects.filter(pk=self.upload.pk).update(declared_size=size, reserved=size)
        self.upload.declared_size = self.upload.reserved = self._intake.granted = size

    def _recall(self) -> None:
        """Read again what no note covers: after a kill -9 a little, without a hash that can go on the head alone."""
        missing = self._writer.offset - self.offset
        for piece in _pieces(self.upload.key, self.offset) if missing else ():
            self._intake.recall(piece)
            if self._intake.is_judged and not can_resume():
                self._intake.offset, self._is_hashed = self._writer.offset, False
                break

    def _keep(self) -> None:
        try:
            if self._counts:
                self._intake.pause()
                self._note()
        finally:
            self._writer.close()
        upload, kept = self.upload, self._writer.offset if self._counts else self._begun_at
        if kept > self._begun_at:
            upload.expires_at = timezone.now() + kept_for(kept)
        row = (upload.offset, upload.heartbeat_at, upload.unverified_from)
        if self._counts and upload.unverified_from is None and flusher.is_held(upload.pk):
            flusher.leave(upload.pk, kept, upload.expires_at)
        elif row != (kept, None, None):
            flusher.unwatch(upload.pk)
            with write():
                Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
                    offset=kept, speed=0, heartbeat_at=None, expires_at=upload.expires_at,
                    unverified_from=None if self._counts else self._begun_at,
                )  # fmt: skip

    def _note(self) -> None:
        """Say beside the bytes how far they are hashed, and what they are."""
        # A write that failed half way has left the hash ahead of the bytes: then the earlier note stays.
        state = self._intake.hash.state() if self._intake.is_judged and self._writer.offset == self.offset else None
        if state is not None and self.offset > self._noted:
            media = self._intake.media
            said = {"offset": self.offset, "sha256": state.hex(), "media": media and [media.kind, media.name]}
            self._writer.note(json.dumps(said))
            self._noted = self.offset


def _begin_to_move(upload: Upload) -> None:
    with write():
        reserving.lock_owner(upload.owner_id)
        reserving.check_turn(upload.owner_id)
        Upload.objects.filter(pk=upload.pk).update(heartbeat_at=Now())


def take_look(upload: Upload) -> int:
    """How many bytes there are, once whoever sends has let go. If they are all there, the upload is complete now."""
    try:
        with Turn.take(upload.key, _finding(upload)) as turn:
            turn.end()
            return turn.offset
    except AlreadyComplete as complete:
        return complete.size
    except Locked:
        return offset_now(upload)


def offset_now(upload: Upload) -> int:
    """How many bytes there are just now, whoever sends. The row of a resumable upload may lag behind."""
    if not upload.is_resumable or upload.state != Upload.State.RECEIVING:
        return upload.offset
    try:
        come = sink().offset(upload.key)
    except NoSuchKey:
        return 0
    return come if upload.unverified_from is None else min(come, upload.unverified_from)


def terminate(upload: Upload) -> None:
    """Its client takes an unfinished upload back."""
    try:
        _end(upload, Terminated("Its client took the upload back."))
    except AlreadyComplete as error:
        raise Forbidden("This upload is complete. Delete the file that it became.") from error


def settle_stalled() -> int:
    """Bring the rows up to their bytes that nobody has sent of lately; complete those that a crash left whole."""
    # A quick client, whose every piece came between two heartbeats, leaves no more than its claim.
    claims = Blob.objects.filter(state=Blob.State.STORING, created_at__lt=timezone.now() - reserving.HOLDER_TIMEOUT)
    half_stored = Upload.objects.filter(state=Upload.State.RECEIVING, key__in=claims.values("key"))
    return _each(reserving.stalled_uploads() | half_stored, _settle)


def expire() -> int:
    """End the uploads that nobody went on with in time."""
    late = Upload.objects.filter(state=Upload.State.RECEIVING, expires_at__lt=timezone.now())
    return _each(late, _expire)


def _settle(upload: Upload) -> None:
    with Turn.take(upload.key, _finding(upload), patience=0) as turn:
        turn.end()


def _expire(upload: Upload) -> None:
    if offset_now(upload) > upload.offset:
        _settle(upload)  # a crash kept it from being written down that somebody went on with it
    else:
        _end(upload, Expired("Nobody went on with this upload in time."), patience=0)


def _each(uploads: QuerySet[Upload], do: Callable[[Upload], None]) -> int:
    """To every resumable one of these. One that is just being sent after all, or has ended, is left alone."""
    done = 0
    for upload in list(uploads.exclude(key="")):
        try:
            do(upload)
        except (Locked, AlreadyComplete, Gone):
            continue
        except Refusal:
            log.warning("upload_not_settled", upload=str(upload.pk), exc_info=True)
            continue
        done += 1
    return done


def _finding(upload: Upload) -> Find:
    return lambda: Upload.objects.get(pk=upload.pk)


def _end(upload: Upload, reason: Refusal, patience: float = PATIENCE) -> None:
    with storage_refusals():
        upload, writer = _hold(upload.key, _finding(upload), patience)
        try:
            flusher.unwatch(upload.pk)
            fail(upload, reason)
            writer.abort()
        finally:
            writer.close()


def _hold(key: str, find: Find, patience: float) -> tuple[Upload, Writer]:
    """The lock on the bytes, and the row as it is under the lock. Nobody is asked to stop before `find` has found."""
    deadline = time.monotonic() + patience
    ask_at = 0.0
    while True:
        writer, is_held = None, False
        try:
            writer = sink().resume(key)
        except Held:
            is_held = True
        except NoSuchKey:
            pass
        try:
            upload = find()
            _refuse_ended(upload, writer)
            writer = writer or (None if is_held else _begin(upload))
            if writer is not None and upload.stop_asked:
                Upload.objects.filter(pk=upload.pk).update(stop_asked=False)
        except BaseException:
            if writer is not None:
                writer.close()
            raise
        if writer is not None:
            return upload, writer
        now = time.monotonic()
        if now >= deadline:
            raise Locked("Another request sends this upload, and has not let go yet. Try again.", retry_after=1)
        if not flusher.stop(upload.pk) and now >= ask_at:
            # Not once only: the next holder takes what was asked before it came as meant for the one before.
            ask_at = now + INTERVAL
            Upload.objects.filter(pk=upload.pk).update(stop_asked=True)
        let_go()
        time.sleep(_LOOK_AGAIN)


def _refuse_ended(upload: Upload, writer: Writer | None) -> None:
    if upload.state == Upload.State.RECEIVING:
        return
    if writer is not None:
        writer.abort()  # nothing of it is needed here any more
    if upload.state == Upload.State.COMPLETE:
        raise AlreadyComplete(upload.offset)
    raise Gone(upload.error_detail)


def _begin(upload: Upload) -> Writer | None:
    """The first bytes come, or all have been kept already and only the rows are not there yet."""
    if not is_ours(sink()):
        raise StorageUnavailable("The server cannot see its disk. Try again later.", retry_after=60)
    claim = find_claim(sink(), upload.key)
    if claim is not None and sink().size(upload.key) == claim.size:
        if not flusher.is_held(upload.pk):  # else a request of this process is at it
            content = Content(claim.sha256, claim.size, claim.kind, claim.media_type)
            with suppress(StorageUnavailable):  # whoever committed them is alive, and was first
                store(_Committed(upload.key), content, lambda blob: complete(upload, blob))
        return None
    with suppress(Held):
        return sink().create(upload.key, size=upload.declared_size, resumable=True)
    return None


@dataclass(slots=True)
class _Committed:
    """Stands for the Writer of bytes that an earlier try has committed."""

    key: str
    resumable: bool = True

    def commit(self) -> None:
        """There is nothing left to do."""

    def abort(self) -> None:
        """Neither here."""


def _where_it_was(key: str, offset: int) -> dict[str, Any]:
    """Where an Intake can go on by the note beside the bytes; from the beginning if there is none that fits."""
    try:
        said = json.loads(sink().noted(key))
        if said["offset"] > offset:
            return {}
        media = MediaType(Kind(said["media"][0]), said["media"][1]) if said["media"] else None
        return {"offset": said["offset"], "media": media, "hash": Sha256(bytes.fromhex(said["sha256"]))}
    except (ValueError, KeyError, TypeError):
        return {}


def _hash_all(key: str) -> Sha256:
    found = Sha256()
    for piece in _pieces(key, 0):
        found.update(piece)
    return found


def _pieces(key: str, start: int) -> Iterator[bytes]:
    with sink().open_partial(key, start) as reader:
        while piece := reader.read(_PIECE):
            yield piece
