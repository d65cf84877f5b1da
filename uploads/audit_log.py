"""The audit log: who did what to what, and from where. Its rows are those of Django's admin, which shows them.

Verbs note what they did in their own transaction: the line is there if and only if the change is. The account for
which this thread works is known from the start of its request. In the admin, commands and workers there is none: the
admin records each deed itself, in words of its own.
"""

from collections.abc import Collection
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import ADDITION as ADDITION
from django.contrib.admin.models import CHANGE as CHANGE
from django.contrib.admin.models import DELETION as DELETION
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and how, as a sentence that follows what they did."""

    user_id: int
    how: str


_actor: ContextVar[Actor | None] = ContextVar("millrace_actor", default=None)


def act_as(actor: Actor | None) -> None:
    """From here on, what this thread does is done by them."""
    _actor.set(actor)


def note(row: Model, what: str, flag: int = CHANGE) -> None:
    """Record what the account did for which this thread works, if it works for one. In the change's transaction."""
    if (actor := _actor.get()) is not None:
        record(actor, [row], what, flag)


def record(actor: Actor, rows: Collection[Any], what: str, flag: int = CHANGE) -> None:
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=actor.user_id, content_type_id=ContentType.objects.get_for_model(row).pk, object_id=row.pk,
            object_repr=str(row)[:_LONGEST_NAME], action_flag=flag,
            change_message=f"{what} {actor.how}",
        )
        for row in rows
    )  # fmt: skip
