"""Idempotency-Key of jobs and batches: a repeated request gets what the first one has made."""

from typing import TypeVar

from django.contrib.auth.models import User
from django.db.models.functions import Now

from uploads.errors import KeyReused
from uploads.transfers.idempotency import KEY_KEPT, check_key
from uploads.transfers.quota import lock_owner

from ..models import Batch, Job

Made = TypeVar("Made", Job, Batch)


def replayed(model: type[Made], owner: User, key: str, fingerprint: str) -> Made | None:
    """What this key created within a day. None: nothing. KeyReused: the request was a different one."""
    check_key(key)
    lock_owner(owner.pk)
    holders = model.objects.filter(owner=owner, idempotency_key=key)
    holders.filter(created_at__lt=Now() - KEY_KEPT).update(idempotency_key="")
    before = holders.first()
    if before is not None and before.fingerprint != fingerprint:
        raise KeyReused("This Idempotency-Key was used for another request. Choose a new one.")
    return before
