"""What an account may take, and how much of that it has taken."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone
from model_bakery import baker

from tests.service.test_leases import a_file
from uploads import reserving
from uploads.models import Upload

pytestmark = pytest.mark.django_db


def an_upload(owner: User, reserved: int, offset: int = 0, **more: Any) -> Upload:
    """A paused resumable upload; with heartbeat_at=Now() one that is being sent."""
    return Upload.objects.create(
        owner=owner, name="film.mp4", protocol="tus", sink="local", declared_size=reserved, reserved=reserved,
        offset=offset, key=str(uuid.uuid4()), expires_at=timezone.now() + timedelta(hours=1), **more,
    )  # fmt: skip


def test_the_use_of_an_account_is_told_beside_its_limits(settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota=1000, max_file_size=500, max_uploads_per_user=3)
    alice, bob = baker.make(User, _quantity=2)
    file = a_file(alice)
    a_file(bob)
    an_upload(alice, 100, 40)
    an_upload(alice, 60, heartbeat_at=Now())
    an_upload(alice, 0, state="failed", error_code="x", finished_at=timezone.now())
    an_upload(bob, 7)
    found = reserving.use_of(alice.pk)
    assert (found.limits.quota, found.limits.max_file_size, found.limits.max_uploads) == (1000, 500, 3)
    assert (found.stored, found.reserved, found.sending, found.unfinished) == (file.size, 160, 1, 2)
    assert found.left == reserving.left_of_quota(alice.pk) == 1000 - file.size - 160
    settings.UPLOADS = replace(settings.UPLOADS, quota=None)
    assert reserving.use_of(alice.pk).left is None
