"""Cancel, retry and delete selected jobs."""

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

from .. import permissions
from ..errors import AlreadyFinished, NoSuchJob, NotFinished
from ..models import Artifact, Job
from ..queue import cancel_and_retry
from ..queue.deletion import delete_job
from . import job_cells

_WHY = {
    Forbidden.code: "are not permitted to your account",
    NotFinished.code: "had not ended",
    AlreadyFinished.code: "had already ended",
    NoSuchJob.code: "no longer existed",
}
_MAX_NAMES = 100  # in the confirmation


def cancel(request: HttpRequest, chosen: QuerySet[Job]) -> None:
    _each(request, chosen, "change", cancel_and_retry.cancel, "cancelled")


def run_again(request: HttpRequest, chosen: QuerySet[Job]) -> None:
    _each(request, chosen, "change", cancel_and_retry.retry, "queued again")


def delete(request: HttpRequest, chosen: QuerySet[Job]) -> None:
    delete = partial(delete_job, approve=permissions.file_deletion(account(request)))
    _each(request, chosen, "delete", delete, "deleted", flag=DELETION)


def account(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin requires a login
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
        permissions.require(account(request), right, job)
        verb(job)

    bulk_actions.apply_to_each(request, chosen, act, done, why=_WHY, flag=flag)


@dataclass(frozen=True, slots=True)
class Removal:
    jobs: Sequence[Job]
    artifacts: Sequence[Artifact]

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> "Removal":
        """The finished ones of these jobs, with their artifacts. Unfinished jobs cannot be deleted."""
        chosen = [job for job in jobs if job.is_finished]
        made = Artifact.objects.filter(job__in=chosen).select_related("file__blob").order_by("job_id", "name")
        return cls(chosen, list(made))

    @property
    def counts(self) -> dict[str, str]:
        """The summary in the format of Django's delete page."""
        size = human_size(sum(artifact.file.blob.size for artifact in self.artifacts))
        return {"jobs": str(len(self.jobs)), "artifacts": f"{len(self.artifacts)} ({size})"}

    @property
    def names(self) -> list[object]:
        """The jobs, each with a nested list of its artifacts."""
        names: list[object] = []
        for job in self.jobs[:_MAX_NAMES]:
            names.append(f"{job_cells.title(job)}: {job_cells.subject(job)} ({job.get_status_display()})")
            made = [
                f"{artifact.file.name}, {human_size(artifact.file.blob.size)}"
                for artifact in self.artifacts
                if artifact.job_id == job.pk
            ]
            if made:
                names.append(made)
        if len(self.jobs) > _MAX_NAMES:
            names.append(f"… and {len(self.jobs) - _MAX_NAMES} more")
        return names
