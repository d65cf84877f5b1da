"""What must be done for jobs now and then; as uploads.maintenance.housekeeping, which says what a Chore must be."""

import time
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from uploads.maintenance.housekeeping import Chore
from uploads.runtime.database_connections import write

from .conf import jobs
from .ffmpeg.work_folder import sweep
from .models import WORKER_TIMEOUT, Job, Worker
from .queue.deletion import forget
from .queue.leases import reap
from .queue.notify import wake_idle_again
from .worker.slot import BEAT

_AT_ONCE = 500


def take_back_lost() -> int:
    """Queue again what workers have lost."""
    return reap(lambda: time.sleep(2 * BEAT))


def forget_workers() -> int:
    """Those that have not been heard of for ten times as long as it takes to be thought dead."""
    forgotten: int = Worker.objects.filter(seen_at__lt=Now() - 10 * WORKER_TIMEOUT).delete()[0]
    return forgotten


def sweep_work() -> int:
    return sweep(jobs().work_root)


def forget_jobs() -> int:
    """Finished jobs are kept for a while, for people and for the cache. What they made stays: it is their owner's."""
    kept = jobs().kept
    if kept is None:
        return 0
    old = Job.objects.filter(finished_at__lt=Now() - timedelta(seconds=kept), automatic=False)
    return sum(_forget(old.filter(pk=pk)) for pk in list(old.values_list("pk", flat=True)[:_AT_ONCE]))


def _forget(still_old: QuerySet[Job]) -> int:
    """One at a time, so that nobody waits for long; and looked at again, as it may have been retried by now."""
    with write():
        job = still_old.select_for_update().first()
        if job is None:
            return 0
        forget(job)
    return 1


CHORES = [
    Chore("take back lost jobs", timedelta(seconds=1), take_back_lost),
    Chore("wake idle workers", timedelta(seconds=1), wake_idle_again),
    Chore("sweep work folders", timedelta(seconds=10), sweep_work),
    Chore("forget lost workers", timedelta(minutes=1), forget_workers),
    Chore("forget old jobs", timedelta(hours=1), forget_jobs, by_clock=True),
]
