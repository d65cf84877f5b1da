"""The numbered past of an Upload or a Job."""

import uuid

from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce

from .models import Transition


def past(subject: str, subject_id: uuid.UUID) -> QuerySet[Transition]:
    """All that became of it, in order."""
    return Transition.objects.filter(subject=subject, subject_id=subject_id).order_by("number")


def record(subject: str, subject_id: uuid.UUID, state: str, detail: str = "") -> None:
    """Add the next Transition. Call it in the transaction of the change itself, which holds the subject's row."""
    number = Coalesce(Subquery(past(subject, subject_id).reverse().values("number")[:1]), 0) + 1
    Transition.objects.create(subject=subject, subject_id=subject_id, number=number, state=state, detail=detail[:500])
