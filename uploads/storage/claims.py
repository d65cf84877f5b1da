"""Claims: a Blob in the state `storing` claims a key, from before its bytes are there until the file is stored.

A claim that is withdrawn leaves a tombstone of its key, so that bytes that were stored under it are removed.
"""

from django.utils import timezone

from ..content.intake import Content
from ..errors import StorageUnavailable
from ..models import Blob
from ..runtime.database_connections import write
from ..sinks.base import Sink
from .tombstones import bury, remove


def make_claim(into: Sink, key: str, content: Content) -> Blob:
    return Blob.objects.create(
        sink=into.name, key=key, sha256=content.sha256, size=content.size,
        kind=content.kind, media_type=content.media_type,
    )  # fmt: skip


def find_claim(into: Sink, key: str) -> Blob | None:
    """Return the claim of an earlier try to store the bytes of `key`."""
    return Blob.objects.filter(sink=into.name, key=key, state=Blob.State.STORING).first()


def renew_claim(claim: Blob) -> None:
    """Make a claim young again: the sweep withdraws old ones."""
    Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).update(created_at=timezone.now())


def delete_claim(claim: Blob) -> None:
    """Delete a claim in the transaction that stores its content in another way."""
    if not Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).delete()[0]:
        raise StorageUnavailable("Storing the upload took too long, and it was given up. Send it again.")


def withdraw(claim: Blob) -> bool:
    """Delete a claim that will not be stored, and bury its key. False if it was stored or deleted meanwhile."""
    with write():
        withdrawn = Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).delete()[0]
        if withdrawn:
            bury(claim.sink, claim.key)
    return bool(withdrawn)


def withdraw_and_remove(into: Sink, claim: Blob) -> None:
    """After a failure: delete the claim and its bytes, unless the Blob was stored after all."""
    if withdraw(claim):
        remove(into, claim.key)
