"""Rows that were chosen in a list: each is judged by itself, and one message says what became of them all."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from ... import audit_log
from ...errors import Refusal

# More than a page shows: nobody has looked at those.
MOST = 250
M = TypeVar("M", bound=Model)


def actor(request: HttpRequest) -> audit_log.Actor:
    """For the audit log, of what staff do in the admin."""
    return audit_log.Actor(request.user.pk or 0, f"In the admin from {request.META.get('REMOTE_ADDR', '')}.")


def selected_rows(request: HttpRequest, chosen: QuerySet[M]) -> list[M] | None:
    """Those that were chosen, unless that is everything there is."""
    rows = list(chosen[: MOST + 1])
    if len(rows) <= MOST:
        return rows
    messages.error(request, f"At most {MOST} at once, so that somebody has looked at them.")
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
    """Carry a verb out on each. `done` and `why`, by a refusal's code, go on after a number: 3 cancelled, 1 …"""
    rows = selected_rows(request, chosen)
    if rows is None:
        return
    refused: Counter[str] = Counter()
    carried_out: list[M] = []
    for row in rows:
        try:
            verb(row)
        except ObjectDoesNotExist:
            refused["were gone"] += 1
        except Refusal as refusal:
            refused[why.get(refusal.code, refusal.detail)] += 1
        else:
            carried_out.append(row)
    if carried_out:
        audit_log.record(actor(request), carried_out, f"{done.capitalize()}.", flag)
    said = [f"{number} {what}" for what, number in [(done, len(carried_out)), *refused.items()] if number]
    messages.add_message(request, messages.WARNING if refused else messages.SUCCESS, f"{', '.join(said) or 'None'}.")
