"""Housekeeping whose chores come every other second, telling what it leaves."""

import json
import time
from dataclasses import replace
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.management import call_command

from config.management.commands import housekeeping
from tests.support import wrong_clock
from uploads.access.tokens import make_token
from uploads.maintenance.housekeeping import Chore
from uploads.models import Token, Upload
from uploads.scopes import Scope
from uploads.transfers.admission import Announcement, admit


def keep_house() -> None:
    """Around an upload that nobody has gone on with yet, and a token that expires in three days."""
    wrong_clock.mend_sleep()
    owner = User.objects.get(username="alice")
    announced = Announcement(
        owner=owner, name="a.mp4", protocol=Upload.Protocol.TUS, size=9, length=9, route="uploads",
        lifetime=timedelta(days=1),
    )  # fmt: skip
    admit(announced)
    make_token(owner, "jumped", Scope.all(), timedelta(days=3))
    second = timedelta(seconds=1)
    # Not of each second, or they would be done in another thread than what expires.
    expiring = [chore for chore in housekeeping.CHORES if "expired" in chore.name]
    chores = [replace(chore, every=2 * second) for chore in expiring]
    assert len(chores) == 2
    housekeeping.CHORES[:] = [*chores, Chore("tell", 2 * second, _tell)]
    call_command("housekeeping")


def _tell() -> int:
    [upload] = Upload.objects.all()
    is_there = Token.objects.filter(name="jumped").exists()
    print(json.dumps([time.time(), upload.state, is_there]), flush=True)  # noqa: T201  # to the test
    return 0
