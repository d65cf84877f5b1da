"""Slots and housekeeping under trouble that is not their own. Tests run these by Server.call; some return
whether all went well, and others end their process."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from celery.signals import celeryd_after_setup
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models.functions import Now

from config.management.commands import housekeeping
from media_jobs import tasks
from media_jobs.models import Job, Worker
from media_jobs.queue import leases
from media_jobs.worker import heartbeat
from media_jobs.worker import slot as worker_slot
from media_jobs.worker.slot import Slot
from tests.support.many_jobs import a_file, an_owner, pile
from uploads.maintenance.housekeeping import Chore

State = Worker.State


def become_idle_without_database() -> bool:
    """The row must say so in the end: until then, nobody would wake us."""
    slot = Slot("quick", "", {})
    slot.set_state(State.BUSY)
    with connection.execute_wrapper(_away):
        slot.set_state(State.IDLE)
    return _in_time(lambda: Worker.objects.get().state == State.IDLE)


def become_idle_after_long_work() -> bool:
    """Whoever was busy for longer than the deaf hear nothing is not deaf."""
    worker_slot._DEAF_AFTER, worker_slot._ROW_INTERVAL = 3, 0.1
    told = list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    slot = Slot("quick", "", {})
    slot.set_state(State.BUSY)
    time.sleep(3.2)
    pile(1, [a_file(an_owner())], "thumbnail")
    idle_since = time.monotonic()
    slot.set_state(State.IDLE)
    time.sleep(0.2)
    slot.beat_now()
    time.sleep(0.5)
    is_early = bool(told) and time.monotonic() - idle_since < worker_slot._DEAF_AFTER
    return not is_early and _in_time(lambda: told)


def hang_in_storing() -> None:
    """The lease is not renewed any more, and the process ends."""
    heartbeat._PHASE_TIMEOUT = 6
    slot = Slot("quick", "", {})
    pile(1, [a_file(an_owner())], "thumbnail")
    lease = leases.claim(slot.worker)
    assert lease is not None
    held = heartbeat.Heartbeat(lease, slot)
    slot.hold(held.renew)
    held.enter(Job.Phase.STORING, "Storing", size=3_000_000)
    _in_time(lambda: "so far" in Job.objects.get().message)
    print(Job.objects.get().message, flush=True)  # noqa: T201  # to the test
    time.sleep(60)


def renew_after_errors() -> bool:
    """As sqlite3 raised for a number that was too large, and Python may at any time."""
    worker_slot.BEAT = 0.05
    errors = [OverflowError("Python int too large"), MemoryError(), RuntimeError("can't start new thread")]
    calls = list[int]()

    def renew() -> None:
        calls.append(1)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]

    Slot("quick", "", {}).hold(renew)
    return _in_time(lambda: len(calls) > len(errors) + 1)


def fail_at_every_beat() -> None:
    worker_slot.BEAT = 0.05
    Slot("quick", "", {}).hold(_overflow)
    _in_time(lambda: False, 10)


def lose_the_thread_of_the_heartbeat() -> None:
    worker_slot.BEAT = 0.05
    Slot("quick", "", {}).hold(sys.exit)
    _in_time(lambda: False, 10)


def report_what_cannot_be_written() -> bool:
    """Half of a surrogate pair, which is no text."""
    slot = Slot("quick", "", {})
    pile(1, [a_file(an_owner())], "thumbnail")
    lease = leases.claim(slot.worker)
    assert lease is not None
    held = heartbeat.Heartbeat(lease, slot)
    held.show({"log": "\ud800"})
    Job.objects.update(lease_until=Now())
    held.renew()
    held.check()
    return Job.objects.filter(lease_until__gt=Now(), log="").exists()


def start_without_database() -> bool:
    """Celery would go on without the slot, and run nothing."""
    tasks._RETRY_AFTER = 0.05
    failures = iter([1, 2, 3])

    def away_at_first(execute: Any, *rest: Any) -> Any:
        return execute(*rest) if next(failures, None) is None else _away()

    with connection.execute_wrapper(away_at_first):
        _begin_worker()
    return Worker.objects.filter(lane="quick").exists() and tasks._slot is not None


def start_without_ffmpeg() -> None:
    settings.JOBS = replace(settings.JOBS, ffmpeg="/bin/true")
    _begin_worker()


def _begin_worker() -> None:
    queues = SimpleNamespace(consume_from=["quick"])
    celeryd_after_setup.send(
        "a worker", instance=SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)))
    )


def lose_the_thread_of_slow_chores() -> None:
    """Python ends a thread without a word that raises SystemExit."""
    began = time.monotonic()

    def give_up() -> int:
        return _exit() if time.monotonic() - began > 10 else 0

    housekeeping.CHORES[:] = [
        Chore("sweep", timedelta(hours=1), _exit),
        Chore("take back lost jobs", timedelta(seconds=1), give_up),
    ]
    call_command("housekeeping")


def _overflow() -> None:
    raise OverflowError("Python int too large to convert to SQLite INTEGER")


def _exit() -> int:
    raise SystemExit


def keep_house_beside_a_slow_chore() -> bool:
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
    return _in_time(lambda: len(done) >= 2)


def _away(*_: Any) -> Any:
    raise OperationalError("the database system is shutting down")


def _in_time(happened: Callable[[], Any], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if happened():
            return True
        time.sleep(0.05)
    return False
