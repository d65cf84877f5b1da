"""The audit log: who changed what, and from where. It uses the LogEntry table of Django's admin.

A function that changes something writes its entry in the same transaction: the entry exists if and only if the change
does. The acting account is set at the start of an API request. In the admin, in commands and in workers there is
none; the admin writes its own entries.
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
    """The acting account, and a sentence that says how it was authenticated, for the end of an entry."""

    user_id: int
    how: str


_actor: ContextVar[Actor | None] = ContextVar("millrace_actor", default=None)


def act_as(actor: Actor | None) -> None:
    """Set the account for which this thread works from now on."""
    _actor.set(actor)


def note(row: Model, what: str, flag: int = CHANGE) -> None:
    """Write an entry for the acting account, if there is one. Call it in the transaction of the change."""
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
