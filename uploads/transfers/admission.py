"""Admit an upload before its first byte: check what it announces, reserve space for it, write its row."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from ..errors import EmptyFile, Refusal
from ..hooks import arrival_choices
from ..models import Transition, Upload
from ..runtime.database_connections import write
from ..storage.stores import resumable_sink, sink
from ..text.client_metadata import Metadata, as_json
from ..text.file_names import clean_name
from . import disk_space, quota, upload_counters
from .idempotency import claim_key
from .quota import limits_of
from .resumable.checkpoint import require_continuable

# Names or ids of what is to be run on the new file. None: what its owner has chosen. Empty: nothing.
Presets = Sequence[str] | None


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
    # Of a resumable or a direct upload only: how long it is kept, and its Upload-Metadata.
    lifetime: timedelta | None = None
    metadata: str = ""
    presets: Presets = None
    file_metadata: Metadata | None = None  # of the client's own, for the new file

    def fingerprint(self) -> str:
        """What must be equal in two requests with the same Idempotency-Key."""
        # The key of an ingested source names the source: with other presets it is still the same.
        ignores_presets = self.presets is None or self.protocol == Upload.Protocol.INGEST
        parts = (
            self.route,
            self.name,
            str(self.length),
            self.claims,
            *([] if ignores_presets else ["presets", *(self.presets or ())]),
            *([] if self.file_metadata is None else [as_json(self.file_metadata)]),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


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
    on_arrival = find_presets(owner, announcement.presets)
    with write():
        quota.lock_owner(owner.pk)
        allowed = limits_of(owner.pk)
        quota.check_size((size or 0) - announcement.besides, allowed.max_file_size)
        # The declared size of a form is a little larger than its file.
        size = size and min(size, allowed.max_file_size)
        if announcement.key:
            claim_key(owner, announcement.route, announcement.key, announcement.fingerprint())
        quota.check_parallel(owner.pk, allowed.max_uploads)
        resumable: dict[str, Any] = {}
        if announcement.lifetime is not None:
            if announcement.protocol == Upload.Protocol.TUS:
                require_continuable(resumable_sink())
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
            fingerprint=announcement.fingerprint(), on_arrival=on_arrival,
            file_metadata=announcement.file_metadata, **({"heartbeat_at": Now()} | resumable),
        )  # fmt: skip
        Transition.record("upload", upload.pk, Upload.State.RECEIVING)
    return upload


def find_presets(owner: User, names: Presets) -> list[str] | None:
    """What is to be run on a new file, as its Upload keeps it. Unknown names are refused before the first byte."""
    return None if names is None else [pk for find in arrival_choices for pk in find(owner, names)]
