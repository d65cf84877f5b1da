"""Slots and housekeeping under trouble that is not their own. Run in `manage.py shell`; each prints what it saw."""

import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.db import OperationalError, connection

from config.management.commands import housekeeping
from media_jobs import leases, pulse, slots
from media_jobs.models import Job, Worker
from media_jobs.slots import Slot
from tests.heap import a_file, an_owner, pile
from uploads.housekeeping import Chore

State = Worker.State


def become_idle_without_database() -> None:
    """The row must say so in the end: until then, nobody would wake us."""
    slot = Slot("quick", "", {})
    slot.become(State.BUSY)
    with connection.execute_wrapper(_away):
        slot.become(State.IDLE)
    _say(_in_time(lambda: Worker.objects.get().state == State.IDLE))


def become_idle_after_long_work() -> None:
    """Whoever was busy for longer than the deaf hear nothing is not deaf."""
    slots._DEAF, slots._TOUCH = 3, 0.1
    told = list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    slot = Slot("quick", "", {})
    slot.become(State.BUSY)
    time.sleep(3.2)
    pile(1, [a_file(an_owner())], "thumbnail")
    idle_since = time.monotonic()
    slot.become(State.IDLE)
    time.sleep(0.2)
    slot.nudge()
    time.sleep(0.5)
    is_early = bool(told) and time.monotonic() - idle_since < slots._DEAF
    _say(not is_early and _in_time(lambda: told))


def hang_in_storing() -> None:
    """The lease is not renewed any more, and the process ends."""
    pulse._PATIENCE = 6
    slot = Slot("quick", "", {})
    pile(1, [a_file(an_owner())], "thumbnail")
    lease = leases.claim(slot.worker)
    assert lease is not None
    held = pulse.Pulse(lease, slot)
    slot.hold(held.renew)
    held.enter(Job.Phase.STORING, "Storing", size=3_000_000)
    _in_time(lambda: "so far" in Job.objects.get().message)
    print(Job.objects.get().message, flush=True)  # noqa: T201  # to the test
    time.sleep(60)
    _say(is_well=False)


def keep_house_beside_a_slow_chore() -> None:
    """What is to be done each second is done, though another chore takes a minute."""
    done = list[float]()

    def sweep() -> int:
        time.sleep(60)
        return 0

    def take_back() -> int:
        done.append(time.monotonic())
        return 0

    housekeeping.CHORES[:] = [
        Chore("sweep", timedelta(hours=1), sweep),
        Chore("take back lost jobs", timedelta(seconds=1), take_back),
    ]
    threading.Thread(target=call_command, args=("housekeeping",), daemon=True).start()
    _say(_in_time(lambda: len(done) >= 2))


def _away(*_: Any) -> Any:
    raise OperationalError("the database system is shutting down")


def _in_time(happened: Callable[[], Any]) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if happened():
            return True
        time.sleep(0.05)
    return False


def _say(is_well: bool) -> None:
    print("well" if is_well else "not well")  # noqa: T201  # to the test
