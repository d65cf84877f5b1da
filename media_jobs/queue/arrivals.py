"""Runs on arrival: presets that run on every new upload, once it has been inspected.

The house's list are the presets for all accounts that are marked `on_arrival`. An account adds its own marked ones,
and may add or switch off those for all (ArrivalChoice). An upload may name others instead.

The upload only leaves a row, which costs a query. Housekeeping submits the jobs: nothing here can break an upload.
"""

import time
from collections.abc import Sequence

import structlog
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from uploads.access.permissions import Account
from uploads.errors import Refusal
from uploads.hooks import ArrivalOption
from uploads.models import MediaFile, Upload
from uploads.runtime.database_connections import write
from uploads.storage.files import keep_from_deletion

from .. import operations, permissions
from ..models import Arrival, ArrivalChoice, Job, Preset
from . import presets
from .submission import INSPECT, Order, on_file, submit

log = structlog.get_logger(__name__)
_AT_A_TIME = 100
_SECONDS_AT_A_TIME = 0.5  # of the chore: others must not wait long


def chosen_by(account_id: int) -> QuerySet[Preset]:
    """The presets that run on each upload of this account."""
    usable = Preset.objects.filter(Q(owner=account_id) | Q(owner=None))
    mine = ArrivalChoice.objects.filter(account=account_id, preset=OuterRef("pk")).values("runs")
    return usable.annotate(mine=Subquery(mine)).filter(Q(mine=True) | Q(mine=None, on_arrival=True)).order_by("name")


def choose(user: User, preset: Preset, runs: bool | None) -> None:
    """Set whether a preset runs on this account's uploads. None: as for all accounts."""
    if preset.owner_id is not None:
        presets.change(preset, on_arrival=bool(runs))
        return
    with write():
        if runs is None:
            ArrivalChoice.objects.filter(account=user, preset=preset).delete()
        else:
            ArrivalChoice.objects.update_or_create(account=user, preset=preset, defaults={"runs": runs})
        presets.note_choice(preset, runs)


def options(user: Account) -> list[ArrivalOption]:
    """hooks.arrival_options: what the form for uploads offers."""
    chosen = set(chosen_by(user.pk or 0).values_list("pk", flat=True))
    usable = permissions.usable_presets(user).order_by("name")
    return [ArrivalOption(str(each.pk), each.name, each.pk in chosen) for each in usable if not presets.trouble(each)]


def named(owner: User, texts: Sequence[str]) -> list[str]:
    """hooks.arrival_choices: the ids of the presets that an upload names."""
    found = [presets.find(owner, text) for text in texts]
    for preset in found:
        presets.parsed(preset)
    return [str(preset.pk) for preset in found]


def remember(upload: Upload, file: MediaFile | None) -> None:
    """hooks.upload_ended: write down that presets are to be run on the new file."""
    if file is None or upload.on_arrival == []:
        return
    if upload.on_arrival or chosen_by(upload.owner_id).exists():
        Arrival.objects.create(file=file, chosen=upload.on_arrival)


def carry_out_due() -> int:
    """Submit the jobs for new files that have been inspected. Called each second."""
    inspecting = Job.objects.filter(file=OuterRef("file"), operation=INSPECT, status__in=Job.UNFINISHED)
    due = Arrival.objects.filter(~Exists(inspecting), done_at=None).order_by("created_at")
    until, count = time.monotonic() + _SECONDS_AT_A_TIME, 0
    for arrival in due.select_related("file__owner", "file__blob")[:_AT_A_TIME]:
        if time.monotonic() > until:
            break
        count += _carry_out(arrival)
    return count


def _carry_out(arrival: Arrival) -> bool:
    """Submit all jobs of one file in one transaction, so that a crash neither loses nor repeats one."""
    file = arrival.file
    with write():
        # The file first, as in all other places: its deletion locks it before it deletes this row.
        waiting = Arrival.objects.select_for_update().filter(pk=file.pk, done_at=None)
        if file.pk not in keep_from_deletion([file]) or not waiting.exists():
            return False
        usual = list(chosen_by(file.owner_id))
        wanted = usual if arrival.chosen is None else _named_by(arrival)
        notes = [note for preset in wanted if (note := _run(preset, file, is_usual=preset in usual))]
        if notes:
            waiting.update(done_at=Now(), notes=notes)
        else:
            waiting.delete()
    return True


def _named_by(arrival: Arrival) -> list[Preset]:
    usable = permissions.usable_presets(arrival.file.owner)
    return list(usable.filter(pk__in=arrival.chosen or ()).order_by("name"))


def _run(preset: Preset, file: MediaFile, *, is_usual: bool) -> dict[str, str] | None:
    """Submit the job, or return a note why there is none. The usual ones are for fitting kinds, without a note."""
    operation = operations.registry.get(preset.operation)
    if operation is not None and is_usual and file.blob.kind not in operation.kinds:
        return None
    try:
        if not permissions.may_submit(file.owner):
            return _note(preset, "Its owner may not submit jobs.")
        if not file.has_facts and Job.objects.filter(file=file, operation=INSPECT, status=Job.Status.FAILED).exists():
            return _note(preset, "The file could not be inspected: it may be damaged.")
        with write():
            submit(on_file(Order.of_preset(file.owner, preset, on_arrival=True), file))
    except Refusal as refusal:
        return _note(preset, refusal.detail)
    except DatabaseError:
        raise  # the transaction is lost: the next call tries again
    except Exception:
        log.exception("arrival_failed", preset=str(preset.pk), file=str(file.pk))
        return _note(preset, "An error in Millrace. See its log.")
    return None


def _note(preset: Preset, note: str) -> dict[str, str]:
    return {"preset": preset.name, "note": note}
