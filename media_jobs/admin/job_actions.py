"""The verbs of jobs, for many at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from django.contrib.admin.models import CHANGE, DELETION
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from uploads.admin.lists import bulk_actions
from uploads.errors import Forbidden
from uploads.text.sizes import human_size

from .. import policy
from ..errors import AlreadyFinished, NoSuchJob, NotFinished
from ..models import Artifact, Job
from ..queue import control
from ..queue.deletion import delete_job
from . import job_cells

_WHY = {
    Forbidden.code: "may not be touched by your account",
    NotFinished.code: "must end first",
    AlreadyFinished.code: "had ended already",
    NoSuchJob.code: "were gone",
}
# Of names: the numbers say the rest.
_SHOWN = 100


def cancel(request: HttpRequest, chosen: QuerySet[Job]) -> None:
    _each(request, chosen, "change", control.cancel, "cancelled")


def run_again(request: HttpRequest, chosen: QuerySet[Job]) -> None:
    _each(request, chosen, "change", control.retry, "queued again")


def remove(request: HttpRequest, chosen: QuerySet[Job]) -> None:
    delete = partial(delete_job, approve=policy.file_deletion(account(request)))
    _each(request, chosen, "delete", delete, "deleted", flag=DELETION)


def account(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin lets nobody else in
    return request.user


def _each(
    request: HttpRequest,
    chosen: QuerySet[Job],
    right: str,
    verb: Callable[[Job], object],
    done: str,
    flag: int = CHANGE,
) -> None:
    def act(job: Job) -> None:
        policy.require(account(request), right, job)
        verb(job)

    bulk_actions.apply_to_each(request, chosen, act, done, why=_WHY, flag=flag)


@dataclass(frozen=True, slots=True)
class Removal:
    jobs: Sequence[Job]
    artifacts: Sequence[Artifact]

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> "Removal":
        """Those that have ended: the others are refused when it comes to it."""
        chosen = [job for job in jobs if job.is_finished]
        made = Artifact.objects.filter(job__in=chosen).select_related("file__blob").order_by("job_id", "name")
        return cls(chosen, list(made))

    @property
    def counts(self) -> dict[str, str]:
        """As Django's own page of deletion wants them."""
        size = human_size(sum(artifact.file.blob.size for artifact in self.artifacts))
        return {"jobs": str(len(self.jobs)), "files that they made": f"{len(self.artifacts)} ({size})"}

    @property
    def names(self) -> list[object]:
        """Each job, and below it the files it made."""
        told: list[object] = []
        for job in self.jobs[:_SHOWN]:
            told.append(f"{job_cells.title(job)}: {job_cells.subject(job)} ({job.get_status_display()})")
            made = [
                f"{artifact.file.name}, {human_size(artifact.file.blob.size)}"
                for artifact in self.artifacts
                if artifact.job_id == job.pk
            ]
            if made:
                told.append(made)
        if len(self.jobs) > _SHOWN:
            told.append(f"… and {len(self.jobs) - _SHOWN} more")
        return told
