"""Check the content of a direct upload that has been sent: read it through an Intake, and make it a file, in place.

A worker claims a waiting upload with a lease. A lease that is not renewed runs out, and another worker claims the
upload: nothing else has to notice that a worker was lost. A worker that was only slow does no harm, as only one of
them can complete the upload, and both found the same in the same bytes.
"""

import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from ...conf import limits, virus_scan
from ...content.intake import Content, Intake
from ...errors import Infected, InsufficientStorage, NotChecked, Refusal, ScanUnavailable, StorageUnavailable
from ...models import DirectUpload, Upload
from ...runtime.database_connections import release_connection, write
from ...runtime.request_context import on_behalf_of
from ...sinks.base import Sink, SinkError, Writer
from ...storage.blobs import store
from ...storage.claims import find_claim, withdraw_and_remove
from ...storage.marker import is_ours
from ...storage.stores import sink_named
from ...storage.tombstones import remove
from ..completion import complete
from ..reception import keeps_infected, quarantine_infected, storage_refusals
from . import cleanup

log = structlog.get_logger(__name__)
_PIECE = 1024**2
# How long an upload waits for its next attempt when the store failed.
_PAUSE = timedelta(seconds=15)


class _Stopped(Exception):
    """The worker is to stop: another one begins again."""


class _Lost(Exception):
    """The lease ran out, or the upload has ended."""


def waiting() -> QuerySet[DirectUpload]:
    """Uploads that a worker could check now."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    due = Q(not_before=None) | Q(not_before__lte=Now())
    return _sent().filter(free, due)


def running() -> QuerySet[DirectUpload]:
    """Uploads that a worker checks."""
    return _sent().filter(lease_until__gte=Now())


def _sent() -> QuerySet[DirectUpload]:
    return DirectUpload.objects.filter(sent_at__isnull=False, upload__state=Upload.State.RECEIVING)


def claim(direct: DirectUpload, lease: timedelta, most_attempts: int) -> "ContentCheck | None":
    """Lease a waiting upload. None: another worker was first, or the upload has had all its attempts and fails."""
    if direct.attempts >= most_attempts:
        words = f"The worker that checked this upload was lost {direct.attempts} times. Ask your administrator."
        cleanup.end(direct.upload, NotChecked(words))
        return None
    token = uuid.uuid4()
    with write():
        leased = _open(direct, direct.token).update(
            token=token, lease_until=Now() + lease, attempts=F("attempts") + 1, checked=0, not_before=None
        )
    return ContentCheck(direct, token, lease) if leased else None


def _open(direct: DirectUpload, token: uuid.UUID | None) -> QuerySet[DirectUpload]:
    """The row, while it has this token, and its upload has not ended."""
    # No join: PostgreSQL then looks again at the row that another worker has just changed.
    receiving = Upload.objects.filter(state=Upload.State.RECEIVING)
    return DirectUpload.objects.filter(pk=direct.pk, token=token, upload__in=receiving)


@dataclass(slots=True)
class ContentCheck:
    """The lease on one upload, and the work under it. The worker's heartbeat calls `renew`."""

    direct: DirectUpload
    token: uuid.UUID
    lease: timedelta
    _read: int = 0
    _is_lost: bool = False

    @property
    def upload(self) -> Upload:
        return self.direct.upload

    def renew(self) -> None:
        """Extend the lease, and write how far the check is."""
        if not _open(self.direct, self.token).update(lease_until=Now() + self.lease, checked=self._read):
            self._is_lost = True

    def run(self, is_stopping: Callable[[], bool]) -> None:
        """Read the content and make it a file; or fail the upload, or leave it to a later attempt."""
        with on_behalf_of(self.direct.request_id):
            try:
                self._make_file(self._read_content(is_stopping))
            except _Stopped:
                self._give_back()
            except _Lost:
                log.warning("check_lost", upload=str(self.upload.pk))
            except (StorageUnavailable, InsufficientStorage, ScanUnavailable) as failure:
                log.warning("check_postponed", upload=str(self.upload.pk), reason=failure.detail)
                self._give_back(not_before=Now() + _PAUSE)
            except Refusal as refusal:
                self._refuse(refusal)

    def _read_content(self, is_stopping: Callable[[], bool]) -> Content:
        upload, size = self.upload, self.upload.declared_size or 0
        with storage_refusals():
            place = sink_named(upload.sink)
            if not is_ours(place):
                raise StorageUnavailable("The server cannot reach its storage.")
            release_connection()
            # No limits of size and pace: the size is that which was admitted, and our own store sends it.
            intake = Intake(
                _Discarding(upload.key), grow=lambda offset: offset, accept=limits().accept, scan=virus_scan()
            )
            with place.open(upload.key, 0, size) as reader, closing(intake):
                while piece := reader.read(_PIECE):
                    self._check(is_stopping)
                    intake.feed(piece)
                    self._read = intake.offset
                if intake.offset != size:
                    raise StorageUnavailable("The store gave fewer bytes than it has.")
                return intake.finish()

    def _check(self, is_stopping: Callable[[], bool]) -> None:
        if self._is_lost:
            raise _Lost
        if is_stopping():
            raise _Stopped

    def _make_file(self, content: Content) -> None:
        upload = self.upload
        with storage_refusals():
            into = sink_named(upload.sink)
            try:
                store(_Assembled(into, upload.key, content.size), content, partial(complete, upload), into)
            except BaseException:
                _withdraw_claim(into, upload)
                raise
        cleanup.close(self.direct)

    def _refuse(self, refusal: Refusal) -> None:
        self.upload.offset = self._read  # so that a list does not show a failed upload as one that is nearly complete
        if isinstance(refusal, Infected) and keeps_infected():
            quarantine_infected(self.upload, refusal, _Discarding(self.upload.key))
        cleanup.end(self.upload, refusal)

    def _give_back(self, **changes: Any) -> None:
        """End the lease. The attempt does not count."""
        with write():
            _open(self.direct, self.token).update(
                token=None, lease_until=None, attempts=F("attempts") - 1, checked=0, **changes
            )


def _withdraw_claim(into: Sink, upload: Upload) -> None:
    """Delete the claim of an upload that has ended meanwhile. While it is open, the next attempt uses the claim."""
    is_open = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).exists()
    claim = None if is_open else find_claim(into, upload.key)
    if claim is not None:
        withdraw_and_remove(into, claim)


class _Discarding(Writer):
    """For an Intake of bytes that are in the store already."""

    def __init__(self, key: str) -> None:
        self.key, self.offset = key, 0

    def write(self, data: bytes | memoryview) -> None:
        self.offset += len(data)

    def commit(self) -> None:
        """No-op: nothing is open."""

    def abort(self) -> None:
        """No-op: nothing is open."""

    def close(self) -> None:
        """No-op: nothing is open."""


class _Assembled:
    """Takes the place of a Writer whose bytes are an object already, under the key that the blob is to have."""

    resumable = True  # a crash leaves the bytes, and the next attempt finds the claim

    def __init__(self, into: Sink, key: str, size: int) -> None:
        self._into, self.key, self._size = into, key, size
        self._is_kept = False

    def commit(self) -> None:
        if self._into.size(self.key) != self._size:
            raise SinkError(f"The object {self.key} is gone.")
        self._is_kept = True

    def abort(self) -> None:
        """Delete the object if a blob with equal bytes took its place."""
        if not self._is_kept:
            remove(self._into, self.key)
