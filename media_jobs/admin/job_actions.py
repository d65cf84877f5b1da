"""The verbs of jobs, for many at once."""

from collections.abc import Callable
from functools import partial

from django.contrib.admin.models import CHANGE, DELETION
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from uploads.admin.lists import bulk_actions
from uploads.errors import Forbidden

from .. import policy
from ..errors import AlreadyFinished, NoSuchJob, NotFinished
from ..models import Job
from ..queue import control
from ..queue.deletion import delete_job

_WHY = {
    Forbidden.code: "may not be touched by your account",
    NotFinished.code: "must end first",
    AlreadyFinished.code: "had ended already",
    NoSuchJob.code: "were gone",
}


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

    bulk_actions.each(request, chosen, act, done, why=_WHY, flag=flag)
