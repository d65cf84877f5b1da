"""Resumable uploads between their turns: looked at, taken back, mended after a crash, ended when they expire."""

from collections.abc import Callable

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from ...conf import resumable_sink
from ...errors import (
    AlreadyComplete,
    Expired,
    Forbidden,
    Gone,
    Locked,
    Refusal,
    Terminated,
    UploadComplete,
)
from ...models import Blob, Upload
from ...runtime.database_connections import frees_room
from ...sinks.base import NoSuchKey
from .. import quota
from ..completion import fail
from ..progress import flusher
from ..reception import storage_refusals
from .lock import PATIENCE, acquire
from .session import Session

log = structlog.get_logger(__name__)


def read_offset(upload: Upload) -> int:
    """How many bytes there are, once whoever sends has let go. If they are all there, the upload is complete now."""
    try:
        with Session.open(upload.pk) as session:
            session.finish_request()
            return session.offset
    except AlreadyComplete as complete:
        return complete.size
    except Locked:
        return peek_offset(upload)


def peek_offset(upload: Upload) -> int:
    """How many bytes there are just now, whoever sends. The row of a resumable upload may lag behind."""
    if not upload.is_resumable or upload.state != Upload.State.RECEIVING:
        return upload.offset
    try:
        come = resumable_sink().offset(upload.key)
    except NoSuchKey:
        return 0
    return come if upload.unverified_from is None else min(come, upload.unverified_from)


@frees_room
def terminate(upload: Upload) -> None:
    """Its client takes an unfinished upload back. UploadComplete: it was not unfinished any more."""
    if not upload.is_resumable:
        raise Forbidden("This upload ends with its request.")
    try:
        _end(upload, Terminated("Its client took the upload back."))
    except AlreadyComplete as error:
        raise UploadComplete("This upload is complete. Delete the file that it became.") from error


def recover_stalled() -> int:
    """Bring the rows up to their bytes that nobody has sent of lately; complete those that a crash left whole."""
    # A quick client, whose every piece came between two heartbeats, leaves no more than its claim.
    claims = Blob.objects.filter(state=Blob.State.STORING, created_at__lt=timezone.now() - quota.HOLDER_TIMEOUT)
    half_stored = Upload.objects.filter(state=Upload.State.RECEIVING, key__in=claims.values("key"))
    return _each(quota.stalled_uploads() | half_stored, _recover)


def expire_uploads() -> int:
    """End the uploads that nobody went on with in time."""
    late = Upload.objects.filter(state=Upload.State.RECEIVING, expires_at__lt=timezone.now())
    return _each(late, _expire)


def _recover(upload: Upload) -> None:
    with Session.open(upload.pk, patience=0) as session:
        session.finish_request()


def _expire(upload: Upload) -> None:
    if peek_offset(upload) > upload.offset:
        _recover(upload)  # a crash kept it from being written down that somebody went on with it
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


def _end(upload: Upload, reason: Refusal, patience: float = PATIENCE) -> None:
    with storage_refusals():
        upload, writer = acquire(upload.pk, patience)
        try:
            flusher.unwatch(upload.pk)
            fail(upload, reason)
            writer.abort()
        finally:
            writer.close()
