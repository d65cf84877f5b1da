"""Permissions: who may see, submit and change which jobs. The API and the admin both ask here."""

from collections.abc import Callable
from functools import partial

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from uploads.access import permissions as of_files
from uploads.access.permissions import Account
from uploads.errors import Forbidden, InvalidParams
from uploads.models import MediaFile

from .models import Artifact, Batch, Job, Lane, Preset
from .operations.base import LANES

_VIEW = ("view_job", "view_artifact", "view_worker", "view_lane", "view_preset")
_OPERATE = (
    *_VIEW, "add_job", "change_job", "delete_job", "change_lane", "add_preset", "change_preset", "delete_preset",
)  # fmt: skip
GROUPS: dict[str, tuple[str, ...] | None] = {"Viewer": _VIEW, "Operator": _OPERATE, "Administrator": None}
OWNERS_RIGHTS = {
    f"media_jobs.{verb}_{of}" for verb in ("view", "add", "change", "delete") for of in ("job", "preset")
}
# Priorities. Owners may choose up to 0, so that they cannot overtake each other; staff may choose up to HIGHEST.
LOWEST, HIGHEST = -10, 10


def visible_jobs(user: Account) -> QuerySet[Job]:
    jobs = Job.objects.select_related("owner", "worker", "upload")
    return jobs if sees_all_jobs(user) else jobs.filter(owner_id=user.pk)


def sees_all_jobs(user: Account) -> bool:
    return _is_permitted(user, "view_job")


def visible_batches(user: Account) -> QuerySet[Batch]:
    """Batches of jobs that the account may see."""
    batches = Batch.objects.select_related("owner")
    return batches if _is_permitted(user, "view_job") else batches.filter(owner_id=user.pk)


def may_submit(user: Account) -> bool:
    return of_files.may_upload(user) and (not user.is_staff or _is_permitted(user, "add_job"))


def require_submit(user: Account, priority: int = 0) -> User:
    """The account, if it may submit jobs with this priority; else a Refusal."""
    account = of_files.require_upload(user)
    if not may_submit(account):
        raise Forbidden("Your account may not submit jobs.")
    highest = HIGHEST if _is_permitted(account, "change_job") else 0
    if not LOWEST <= priority <= highest:
        raise InvalidParams(f"Your account may use priorities from {LOWEST} to {highest}.")
    return account


def usable_files(user: Account) -> QuerySet[MediaFile]:
    """Files that this account may run jobs on: those that it can see."""
    return of_files.visible_files(user)


def may(user: Account, verb: str, job: Job | Batch) -> bool:
    """`verb` is `view`, `change` (which includes cancel and retry) or `delete`."""
    return _is_permitted(user, f"{verb}_job") or (not user.is_staff and job.owner_id == user.pk)


def require(user: Account, verb: str, job: Job | Batch) -> None:
    if not may(user, verb, job):
        raise Forbidden(f"Your account may not {verb} this {job._meta.verbose_name}.")


def visible_artifacts(user: Account, job: Job) -> QuerySet[Artifact]:
    """The job's artifacts whose files the account may see. To see the job is not enough."""
    return job.artifacts.select_related("file__blob").filter(file__in=of_files.visible_files(user).order_by())


def file_deletion(user: Account) -> Callable[[MediaFile], None]:
    """A check for `delete_job`: it refuses if the account may delete the job, but not a file that the job made."""
    return partial(of_files.require, user, "delete")


def usable_presets(user: Account) -> QuerySet[Preset]:
    """Presets that this account may run: its own, and those for all."""
    return Preset.objects.select_related("owner").filter(Q(owner_id=user.pk) | Q(owner=None))


def visible_presets(user: Account) -> QuerySet[Preset]:
    """Staff also see the presets of other accounts."""
    return Preset.objects.select_related("owner") if _is_permitted(user, "view_preset") else usable_presets(user)


def may_on_preset(user: Account, verb: str, owner_id: int | None) -> bool:
    """Whether the account may `add`, `change` or `delete` a preset of this owner. None: one for all accounts."""
    if owner_id is None:
        return may_share_presets(user)
    return owner_id == user.pk if not user.is_staff else _is_permitted(user, f"{verb}_preset")


def require_on_preset(user: Account, verb: str, owner_id: int | None) -> None:
    if not may_on_preset(user, verb, owner_id):
        for_all = " Presets for all accounts are for administrators." if owner_id is None else ""
        raise Forbidden(f"Your account may not {verb} this preset.{for_all}")


def may_share_presets(user: Account) -> bool:
    """Whether the account may make presets for all accounts."""
    return _is_permitted(user, "share_preset")


def may_steer_lanes(user: Account) -> bool:
    """Whether the account may pause and resume lanes."""
    return _is_permitted(user, "change_lane")


def _is_permitted(user: Account, codename: str) -> bool:
    return user.is_staff and user.has_perm(f"media_jobs.{codename}")


def make_groups_and_lanes(**_: object) -> None:
    """After `migrate`: give the groups their permissions, and create missing lanes. Other permissions stay."""
    for name, codenames in GROUPS.items():
        group, _created = Group.objects.get_or_create(name=name)
        permissions = Permission.objects.filter(content_type__app_label="media_jobs")
        group.permissions.add(*(permissions if codenames is None else permissions.filter(codename__in=codenames)))
    for lane in LANES:
        Lane.objects.get_or_create(name=lane)
