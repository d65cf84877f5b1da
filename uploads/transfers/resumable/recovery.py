"""Resumable uploads that no request is sending: read their offset, terminate, recover after a crash, expire."""

from collections.abc import Callable

import structlog
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ...errors import (
    AlreadyComplete,
    Expired,
    Forbidden,
    Gone,
    Locked,
    Refusal,
    ScanUnavailable,
    Terminated,
    UploadComplete,
)
from ...models import Blob, Upload
from ...monitoring import scanner_health
from ...runtime.database_connections import frees_space
from ...sinks.base import NoSuchKey
from ...storage.stores import resumable_sink
from .. import quota
from ..completion import fail
from ..direct import cleanup
from ..progress import flusher
from ..reception import storage_refusals
from .checkpoint import can_continue
from .lock import PATIENCE, acquire
from .session import Session

log = structlog.get_logger(__name__)


def read_offset(upload: Upload) -> int:
    """Stop the request that sends, and return the offset. Complete the upload if all its bytes have arrived."""
    try:
        with Session.open(upload.pk) as session:
            session.finish_request()
            return session.offset
    except AlreadyComplete as complete:
        return complete.size
    except Locked:
        return peek_offset(upload)


def peek_offset(upload: Upload) -> int:
    """Return the offset without stopping the request that sends. The sink knows it; the row may be behind."""
    if not upload.is_resumable or upload.state != Upload.State.RECEIVING:
        return upload.offset
    with storage_refusals():
        try:
            come = resumable_sink(upload.sink).offset(upload.key)
        except NoSuchKey:
            return 0
    return come if upload.unverified_from is None else min(come, upload.unverified_from)


@frees_space
def terminate(upload: Upload) -> None:
    """End an unfinished upload for its client, and delete its bytes. Raises UploadComplete if it has completed."""
    if upload.is_direct:
        cleanup.terminate(upload)
        return
    if not upload.is_resumable:
        raise Forbidden("This upload is not resumable: it ends with its request.")
    try:
        _end(upload, Terminated("The client terminated the upload."))
    except AlreadyComplete as error:
        raise UploadComplete("This upload is complete. Delete its file instead.") from error


def recover_stalled() -> int:
    """Update the rows of stalled uploads from their bytes, and complete those whose bytes have all arrived."""
    # Uploads whose pieces all arrived between two heartbeats never had a heartbeat; a crash leaves only their claim.
    claims = Blob.objects.filter(state=Blob.State.STORING, created_at__lt=timezone.now() - quota.HOLDER_TIMEOUT)
    claimed = Upload.objects.filter(state=Upload.State.RECEIVING, key__in=claims.values("key"))
    # All bytes arrived, but the store or the virus scanner failed, and the client did not try again.
    whole = Upload.objects.filter(state=Upload.State.RECEIVING, offset=F("declared_size"), unverified_from=None)
    overdue = whole.filter(paused_at__lt=Now() - quota.HOLDER_TIMEOUT)
    found = (quota.stalled_uploads() | claimed | overdue).exclude(protocol=Upload.Protocol.DIRECT)
    if scanner_health.problem():
        found = found.exclude(offset=F("declared_size"))  # each would wait for the scanner in vain
    return _each(found, _recover)


def expire_uploads() -> int:
    """Fail the resumable uploads that were not continued in time."""
    late = Upload.objects.filter(state=Upload.State.RECEIVING, expires_at__lt=timezone.now())
    return _each(late, _expire)


def _recover(upload: Upload) -> None:
    with Session.open(upload.pk, patience=0) as session:
        session.finish_request()


def _expire(upload: Upload) -> None:
    if upload.is_direct:
        cleanup.expire(upload)
    elif can_continue(resumable_sink(upload.sink)) and peek_offset(upload) > upload.offset:
        _recover(upload)  # bytes arrived before a crash that the row does not count: it was continued
    else:
        _end(upload, Expired("This upload was not continued before it expired."), patience=0)


def _each(uploads: QuerySet[Upload], do: Callable[[Upload], None]) -> int:
    """Apply `do` to each resumable upload. Skip those that a request is sending, and those that have ended."""
    done = 0
    for upload in list(uploads.exclude(key="")):
        try:
            do(upload)
        except (Locked, AlreadyComplete, Gone):
            continue
        except ScanUnavailable:
            break  # the next ones would also wait for it, and other chores for them
        except Refusal:
            log.warning("upload_not_recovered", upload=str(upload.pk), exc_info=True)
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
