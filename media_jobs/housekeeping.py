"""The chores of housekeeping for jobs. uploads.maintenance.housekeeping explains what a Chore is."""

import time
from datetime import timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from uploads.maintenance.housekeeping import Chore
from uploads.runtime.database_connections import write
from uploads.storage.blobs import discard

from .conf import jobs
from .ffmpeg.work_folder import sweep
from .models import WORKER_TIMEOUT, Batch, Job, Worker
from .queue import kept_parts
from .queue.arrivals import carry_out_due
from .queue.batch_chores import carry_on
from .queue.children import end_all
from .queue.deletion import forget
from .queue.lost_leases import reap
from .queue.notify import wake_idle_again
from .queue.texts import index_waiting
from .worker.inputs import sweep_inputs
from .worker.slot import BEAT

_BATCH = 500
_SCRATCH_KEPT = timedelta(days=1)


def take_back_lost() -> int:
    """End the attempts whose worker was lost, so that their jobs are queued again."""
    return reap(lambda: time.sleep(2 * BEAT))


def forget_workers() -> int:
    """Delete rows of workers that have been dead for ten times WORKER_TIMEOUT."""
    forgotten: int = Worker.objects.filter(seen_at__lt=Now() - 10 * WORKER_TIMEOUT).delete()[0]
    return forgotten


def sweep_work() -> int:
    return sweep(jobs().work_root)


def forget_jobs() -> int:
    """Delete jobs that finished long ago. The files that they made belong to their owner, and stay."""
    kept = jobs().kept
    if kept is None:
        return 0
    old = Job.objects.filter(finished_at__lt=Now() - timedelta(seconds=kept), automatic=False)
    return sum(_forget(old.filter(pk=pk)) for pk in list(old.values_list("pk", flat=True)[:_BATCH]))


def forget_batches() -> int:
    """Delete batches whose jobs were all deleted, long ago."""
    kept = jobs().kept
    if kept is None:
        return 0
    old = Batch.objects.filter(created_at__lt=Now() - timedelta(seconds=kept), is_pending=False)
    empty = old.filter(~Exists(Job.objects.filter(batch=OuterRef("pk"))))
    with write():
        deleted: dict[str, int] = Batch.objects.filter(
            pk__in=list(empty.values_list("pk", flat=True)[:_BATCH])
        ).delete()[1]
    return deleted.get("media_jobs.Batch", 0)


def forget_scratch() -> int:
    """Delete what children have made for jobs that failed a day ago: until then a retry uses it."""
    failed = Job.objects.filter(status=Job.Status.FAILED, finished_at__lt=Now() - _SCRATCH_KEPT)
    parents = failed.filter(Exists(Job.with_children.filter(parent=OuterRef("pk"))))
    return sum(_forget_scratch(parents.filter(pk=pk)) for pk in list(parents.values_list("pk", flat=True)))


def _forget_scratch(still_failed: QuerySet[Job]) -> int:
    with write():
        job = still_failed.select_for_update().first()
        keys = end_all(job) if job is not None else []
    discard(*keys)
    return len(keys)


def _forget(still_old: QuerySet[Job]) -> int:
    """Delete one job in a transaction of its own. It is read again, as it may have been retried."""
    with write():
        job = still_old.select_for_update().first()
        if job is None:
            return 0
        forget(job)
    return 1


CHORES = [
    Chore("take back lost jobs", timedelta(seconds=1), take_back_lost),
    Chore("wake idle workers", timedelta(seconds=1), wake_idle_again),
    Chore("submit, cancel and retry batches", timedelta(seconds=1), carry_on),
    Chore("run presets on new files", timedelta(seconds=1), carry_out_due),
    Chore("index texts of artifacts", timedelta(seconds=1), index_waiting, uses_store=True),
    Chore("sweep work folders", timedelta(seconds=10), sweep_work, per_host=True),
    Chore("sweep fetched inputs", timedelta(minutes=1), sweep_inputs, per_host=True),
    Chore("forget lost workers", timedelta(minutes=1), forget_workers),
    Chore("delete kept parts", timedelta(minutes=1), kept_parts.forget, by_clock=True),
    Chore("delete parts of failed jobs", timedelta(hours=1), forget_scratch, by_clock=True),
    Chore("forget old jobs", timedelta(hours=1), forget_jobs, by_clock=True),
    Chore("forget old batches", timedelta(hours=1), forget_batches, by_clock=True),
]
