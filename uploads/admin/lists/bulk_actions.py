"""Actions on selected rows: run on each row by itself, and report all results in one message."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from ... import audit_log
from ...errors import Refusal

# Above the 100 rows of a page. More rows than that cannot have been reviewed.
MAX_ROWS = 250
M = TypeVar("M", bound=Model)


def actor(request: HttpRequest) -> audit_log.Actor:
    """The actor in the audit log, for actions in the admin."""
    return audit_log.Actor(request.user.pk or 0, f"In the admin from {request.META.get('REMOTE_ADDR', '')}.")


def selected_rows(request: HttpRequest, chosen: QuerySet[M]) -> list[M] | None:
    """The selected rows; None, with an error message, if they are too many."""
    rows = list(chosen[: MAX_ROWS + 1])
    if len(rows) <= MAX_ROWS:
        return rows
    messages.error(request, f"Select at most {MAX_ROWS} rows at once.")
    return None


def apply_to_each(
    request: HttpRequest,
    chosen: QuerySet[M],
    verb: Callable[[M], object],
    done: str,
    *,
    why: Mapping[str, str],
    flag: int = audit_log.CHANGE,
) -> None:
    """Call `verb` on each row. The message joins numbers with `done` or, by the code of a refusal, with `why`:
    "3 cancelled, 1 had already ended."
    """
    rows = selected_rows(request, chosen)
    if rows is None:
        return
    refused: Counter[str] = Counter()
    carried_out: list[M] = []
    for row in rows:
        try:
            verb(row)
        except ObjectDoesNotExist:
            refused["no longer existed"] += 1
        except Refusal as refusal:
            refused[why.get(refusal.code, refusal.detail)] += 1
        else:
            carried_out.append(row)
    if carried_out:
        audit_log.record(actor(request), carried_out, f"{done.capitalize()}.", flag)
    results = [f"{number} {what}" for what, number in [(done, len(carried_out)), *refused.items()] if number]
    level = messages.WARNING if refused else messages.SUCCESS
    messages.add_message(request, level, f"{', '.join(results) or 'Nothing selected'}.")
