"""Rows of direct uploads, changed in a server's Django. Tests run these by Server.call."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from uploads.errors import Terminated
from uploads.hooks import upload_sent
from uploads.models import DirectUpload, Upload
from uploads.transfers import completion
from uploads.transfers.direct import content_check, session


def expire(uploads: Sequence[str]) -> None:
    """As if nobody had continued them in time."""
    Upload.objects.filter(pk__in=uploads).update(expires_at=timezone.now() - timedelta(seconds=1))


def fail(upload: str) -> None:
    """As if the process that ended it had been killed right after that."""
    completion.fail(Upload.objects.get(pk=upload), Terminated("Ended."))


def lose_workers(upload: str, number: int) -> None:
    """Pretend that this number of workers was lost while they checked it, the last one a minute ago."""
    long_ago = timezone.now() - timedelta(minutes=1)
    DirectUpload.objects.filter(upload_id=upload).update(attempts=number, token=uuid.uuid4(), lease_until=long_ago)


def complete_with_a_quick_worker(upload: str) -> None:
    """The worker has checked the content before the call that completes the upload returns."""

    def check(sent: Upload) -> None:
        claimed = content_check.claim(DirectUpload.objects.get(pk=sent.pk), timedelta(minutes=1), 1)
        assert claimed is not None
        claimed.run(lambda: False)

    upload_sent.append(check)  # in the same transaction: on SQLite, another would wait for it
    session.complete(session.of(Upload.objects.get(pk=upload)), {})
