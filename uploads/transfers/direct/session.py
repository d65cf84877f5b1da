"""Direct uploads: the client sends the parts straight to the store, and asks this server only what it may send.

begin -> sign, as often as needed -> complete. Then a worker checks the content (content_check.py), which makes it a
file. The store knows which parts have arrived; the row follows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone

from ...errors import Gone, InvalidParams, Refusal
from ...hooks import upload_sent
from ...models import DirectUpload, Upload
from ...runtime.database_connections import release_connection, write
from ...runtime.request_context import current_request_id
from ...sinks.crash_points import Step, reached
from ...sinks.direct import PartsChanged
from ...storage.stores import direct_sink, direct_sink_named
from ..admission import Announcement, admit
from ..completion import fail
from ..reception import storage_refusals
from ..resumable.expiry import lifetime
from ..resumable.session import start_sending
from . import parts

MOST_SIGNED = 100  # parts in one request
ADDRESS_LIFETIME = 3600  # seconds
# The store is asked for the parts that have arrived at most this often, for each upload.
_LOOK_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class SignedPart:
    """A part that may be sent, by PUT, to an address of the store."""

    number: int
    size: int
    url: str


def begin(announcement: Announcement) -> DirectUpload:
    """Admit the upload, and open a write for it in the store. Raises Replay."""
    direct_sink()  # or refuse
    upload = admit(announcement)
    try:
        return open_write(upload)
    except Refusal as refusal:
        fail(upload, refusal)
        raise


def open_write(upload: Upload) -> DirectUpload:
    """The open write of an upload. It is begun here, also if a crash has kept the first request from it."""
    if (found := DirectUpload.objects.filter(pk=upload.pk).first()) is not None:
        found.upload = upload
        return found
    release_connection()
    assert upload.declared_size is not None
    with storage_refusals():
        into = direct_sink_named(upload.sink).direct
        write_id = into.begin(upload.key)
        try:
            with write():
                return DirectUpload.objects.create(
                    upload=upload, write_id=write_id, part_size=into.part_size(upload.declared_size)
                )
        except IntegrityError:  # a request at the same time was first
            into.abandon(upload.key, write_id)
            found = DirectUpload.objects.get(pk=upload.pk)
            found.upload = upload
            return found


def of(upload: Upload) -> DirectUpload:
    """The open write of an unfinished upload."""
    if upload.state != Upload.State.RECEIVING:
        raise Gone(upload.error_detail or "This upload is complete. It takes no more parts.")
    found: DirectUpload | None = getattr(upload, "direct", None)
    return found or open_write(upload)


def sign(direct: DirectUpload, numbers: Collection[int]) -> list[SignedPart]:
    """Addresses for these parts. Keeps the upload alive, and renews its reservation."""
    upload = direct.upload
    _require_open(direct)
    if beyond := [number for number in numbers if number > direct.parts]:
        raise InvalidParams(f"This upload has {direct.parts} parts: there is no part {beyond[0]}.")
    _keep_alive(direct)
    into = direct_sink_named(upload.sink).direct
    return [
        SignedPart(
            number,
            direct.size_of(number),
            into.sign(upload.key, direct.write_id, number, direct.size_of(number), ADDRESS_LIFETIME),
        )
        for number in numbers
    ]


def complete(direct: DirectUpload, named: Mapping[int, str]) -> None:
    """Assemble the parts to one object, whose content a worker then checks. `named`: ETags that the client knows.

    Repeating it does nothing. After a crash in between, the next call goes on where it stopped. The caller reads the
    upload again: a worker may have checked it already, and deleted `direct`.
    """
    if direct.sent_at is not None:
        return
    _require_open(direct)
    upload = direct.upload
    if upload.reserved < (upload.declared_size or 0):
        start_sending(upload)  # its reservation was released while its client was silent
    release_connection()
    with storage_refusals():
        if not parts.is_assembled(direct):
            etags = parts.matching(direct, named)
            try:
                direct_sink_named(upload.sink).direct.assemble(upload.key, direct.write_id, etags)
            except PartsChanged as error:
                raise parts.mismatch(direct, sorted(etags)) from error
    reached(Step.ASSEMBLED)
    _mark_sent(direct)


def _require_open(direct: DirectUpload) -> None:
    """Refuse if it takes no more parts."""
    upload = direct.upload
    if upload.state == Upload.State.RECEIVING and direct.sent_at is None:
        return
    raise Gone(upload.error_detail or "All parts of this upload have been sent. It takes no more.")


def _keep_alive(direct: DirectUpload) -> None:
    """Write when its client was last heard of and how much has arrived, and let the upload expire later.

    A client that was silent for some time starts to send again: its limits are checked, its reservation is renewed.
    """
    upload = direct.upload
    if upload.heartbeat_at is None:
        start_sending(upload)
    if upload.heartbeat_at is None or timezone.now() - upload.heartbeat_at > _LOOK_EVERY:
        release_connection()
        upload.offset = sum(part.size for part in parts.arrived(direct))
    upload.expires_at = timezone.now() + lifetime(upload.offset)
    _change(upload, offset=upload.offset, heartbeat_at=Now(), expires_at=upload.expires_at)


def _mark_sent(direct: DirectUpload) -> None:
    upload, kept = direct.upload, timezone.now() + lifetime(direct.upload.declared_size or 0)
    with write():
        _change(upload, offset=upload.declared_size, expires_at=kept, heartbeat_at=None, paused_at=Now())
        mine = DirectUpload.objects.filter(pk=direct.pk, sent_at=None)
        if mine.update(sent_at=Now(), request_id=current_request_id()):
            for act in upload_sent:
                act(upload)


def _change(upload: Upload, **changes: Any) -> None:
    """Change the row, unless the upload has ended."""
    with write():
        if not Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(**changes):
            raise Gone("This upload has ended.")
