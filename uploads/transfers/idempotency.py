"""Idempotency-Key: a repeated request gets the upload of the first one, and stores nothing twice.

A key belongs to an owner and a route, and is kept for 24 hours. A different request with the same key is refused.
"""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models.functions import Now

from ..errors import Abandoned, BytesLost, InFlight, InvalidParams, KeyReused, StorageUnavailable
from ..models import MediaFile, Upload
from ..sinks.base import SinkError
from ..storage.blobs import is_whole
from ..storage.marker import is_ours
from ..storage.stores import sink
from . import quota
from .completion import fail

KEY_KEPT = timedelta(hours=24)
LONGEST_KEY = 255


class Replay(Exception):
    """Not an error: a request with this Idempotency-Key was carried out before, and made this upload."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(str(upload.pk))
        self.upload = upload

    @property
    def file(self) -> MediaFile:
        assert self.upload.file is not None  # only resumable uploads are replayed before they are complete
        return self.upload.file

    def answer(self) -> MediaFile:
        """Return the file if its bytes are stored. After this answer the client may delete its own copy."""
        try:
            if not is_ours(sink()):
                raise StorageUnavailable("The server cannot reach its storage. Try again later.", retry_after=60)
            if is_whole(self.file.blob):
                return self.file
        except SinkError as error:
            raise StorageUnavailable("The server's storage failed. Try again later.", retry_after=60) from error
        raise BytesLost(
            "The file that was uploaded with this Idempotency-Key has lost its bytes. Send it again with a new key to"
            " restore it."
        )


def check_key(key: str) -> None:
    if len(key) > LONGEST_KEY:
        raise InvalidParams(f"An Idempotency-Key may have at most {LONGEST_KEY} characters.")


def claim_key(owner: User, route: str, key: str, fingerprint: str) -> None:
    """Refuse or replay if another upload has this Idempotency-Key. Needs the owner's lock."""
    check_key(key)
    holders = Upload.objects.filter(owner=owner, route=route, idempotency_key=key).exclude(state=Upload.State.FAILED)
    holders.filter(state=Upload.State.COMPLETE, finished_at__lt=Now() - KEY_KEPT).exclude(
        protocol=Upload.Protocol.INGEST
    ).update(idempotency_key="")
    holder = holders.select_related("file__blob", "file__owner").first()
    if holder is None:
        return
    if holder.fingerprint != fingerprint:
        raise KeyReused("This Idempotency-Key was used for a different request. Choose a new key.")
    if holder.file is not None or holder.outlives_requests:
        raise Replay(holder)
    if quota.live_uploads().filter(pk=holder.pk).exists():
        raise InFlight("A request with this Idempotency-Key is still being processed.", retry_after=5)
    if not fail(holder, Abandoned("The client sent another request with the same Idempotency-Key.")):
        claim_key(owner, route, key, fingerprint)  # it ended meanwhile: check again
