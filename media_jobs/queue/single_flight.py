"""Of jobs that would make the same one leads, and is run. The others wait for what becomes of it; nobody claims them.

With its end, which `moving` writes, they have its result or its failure, or one of them leads the others from then
on.
"""

from django.db.models import QuerySet

from uploads.transitions import record

from ..models import Job

Status = Job.Status


def is_known(key: str) -> bool:
    """Whether a job is at this work already, or has done it. One query, without a lock."""
    known = Job.objects.filter(cache_key=key, status__in=[Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
    return bool(key) and known.exists()


def leader_of(key: str) -> Job | None:
    """Who is at the same work already. The lock makes its end wait until we have joined."""
    if not key:
        return None
    leading = Job.objects.select_for_update().filter(status__in=[Status.QUEUED, Status.RUNNING], leader=None)
    return leading.filter(cache_key=key).first()


def followers(job: Job) -> QuerySet[Job]:
    return Job.objects.select_related("file").filter(leader=job, status=Status.QUEUED).order_by("queued_at", "id")


def promote(job: Job) -> None:
    """The oldest of those who followed it leads the others now. Its lane is woken by housekeeping, or asks itself."""
    # Locked: one that is cancelled at this moment must not inherit, as the others would wait for it for ever.
    waiting = list(followers(job).select_for_update(of=["self"]))
    if not waiting:
        return
    heir, *others = waiting
    Job.objects.filter(pk=heir.pk, status=Status.QUEUED).update(leader=None)
    Job.objects.filter(pk__in=[other.pk for other in others], status=Status.QUEUED).update(leader=heir)
    record("job", heir.pk, Status.QUEUED, f"runs itself: job {job.pk}, which it followed, has ended")
