"""Admit an upload before its first byte: check what it announces, reserve space for it, write its row."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from ..conf import limits, resumable_sink, sink
from ..errors import (
    Abandoned,
    BytesLost,
    EmptyFile,
    InFlight,
    InvalidParams,
    KeyReused,
    Refusal,
    StorageUnavailable,
)
from ..models import MediaFile, Transition, Upload
from ..runtime.database_connections import write
from ..sinks.base import SinkError
from ..storage.blobs import is_whole
from ..storage.marker import is_ours
from ..text.file_names import clean_name
from . import disk_space, quota, upload_counters
from .completion import fail
from .quota import limits_of

KEY_KEPT = timedelta(hours=24)
LONGEST_KEY = 255
# A resumable upload of which no byte has arrived is kept at most this long.
EMPTY_KEPT = timedelta(hours=1)


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


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the server knows of an upload before its first byte."""

    owner: User
    name: str
    protocol: Upload.Protocol
    size: int | None = None  # at most this many bytes will arrive; None: unknown
    besides: int = 0  # at most this many of them belong to the form around the file
    key: str = ""  # Idempotency-Key
    route: str = ""
    claims: str = ""
    token: uuid.UUID | None = None  # public_id of the token that the client used
    length: int | None = None  # of the request, as the client knows it
    # Of a resumable upload only: how long it is kept, and its Upload-Metadata.
    lifetime: timedelta | None = None
    metadata: str = ""

    def fingerprint(self) -> str:
        """What must be equal in two requests with the same Idempotency-Key."""
        parts = (self.route, self.name, str(self.length), self.claims)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def lifetime(offset: int) -> timedelta:
    """How long a resumable upload with this many bytes is kept until its client continues it."""
    kept = timedelta(seconds=limits().upload_expiry)
    return kept if offset else min(kept, EMPTY_KEPT)


def admit(announcement: Announcement) -> Upload:
    """Check name, size, limits, Idempotency-Key and disk space; reserve space; create the Upload row."""
    try:
        return _admit(announcement)
    except Refusal as refusal:
        upload_counters.count_refused(announcement.protocol, refusal.code)
        raise


def _admit(announcement: Announcement) -> Upload:
    name, owner, size = clean_name(announcement.name), announcement.owner, announcement.size
    if size == 0:
        raise EmptyFile("The file is empty.")
    with write():
        quota.lock_owner(owner.pk)
        allowed = limits_of(owner.pk)
        quota.check_size((size or 0) - announcement.besides, allowed.max_file_size)
        # The declared size of a form is a little larger than its file.
        size = size and min(size, allowed.max_file_size)
        if announcement.key:
            _claim_key(announcement)
        quota.check_parallel(owner.pk, allowed.max_uploads)
        resumable: dict[str, Any] = {}
        if announcement.lifetime is not None:
            resumable_sink()  # or refuse: not every store takes them
            quota.check_unfinished(owner.pk, allowed.max_uploads)
            identity = uuid.uuid4()
            resumable = {
                "id": identity, "key": str(identity), "metadata": announcement.metadata, "heartbeat_at": None,
                "paused_at": Now(), "expires_at": timezone.now() + announcement.lifetime,
            }  # fmt: skip
        wanted = size or min(disk_space.RESERVATION_STEP, allowed.max_file_size)
        reserved = disk_space.reserve(owner.pk, allowed, sink(), needed=size or 1, wanted=wanted)
        upload = Upload.objects.create(
            owner=owner, token=announcement.token, name=name, protocol=announcement.protocol, sink=sink().name,
            declared_size=size, reserved=reserved, route=announcement.route, idempotency_key=announcement.key,
            fingerprint=announcement.fingerprint(), **({"heartbeat_at": Now()} | resumable),
        )  # fmt: skip
        Transition.record("upload", upload.pk, Upload.State.RECEIVING)
    return upload


def _claim_key(announcement: Announcement) -> None:
    """Refuse or replay if another upload has this Idempotency-Key. Needs the owner's lock."""
    if len(announcement.key) > LONGEST_KEY:
        raise InvalidParams(f"An Idempotency-Key may have at most {LONGEST_KEY} characters.")
    holders = Upload.objects.filter(
        owner=announcement.owner, route=announcement.route, idempotency_key=announcement.key
    ).exclude(state=Upload.State.FAILED)
    holders.filter(state=Upload.State.COMPLETE, finished_at__lt=Now() - KEY_KEPT).exclude(
        protocol=Upload.Protocol.INGEST
    ).update(idempotency_key="")
    holder = holders.select_related("file__blob", "file__owner").first()
    if holder is None:
        return
    if holder.fingerprint != announcement.fingerprint():
        raise KeyReused("This Idempotency-Key was used for a different request. Choose a new key.")
    if holder.file is not None or holder.is_resumable:
        raise Replay(holder)
    if quota.live_uploads().filter(pk=holder.pk).exists():
        raise InFlight("A request with this Idempotency-Key is still being processed.", retry_after=5)
    if not fail(holder, Abandoned("The client sent another request with the same Idempotency-Key.")):
        _claim_key(announcement)  # it ended meanwhile: check again
