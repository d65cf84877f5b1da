"""The numbered past of an Upload or a Job."""

import uuid

from django.db.models import Subquery
from django.db.models.functions import Coalesce

from .models import Transition


def record(subject: str, subject_id: uuid.UUID, state: str, detail: str = "") -> None:
    """Add the next Transition. Call it in the transaction of the change itself, which holds the subject's row."""
    past = Transition.objects.filter(subject=subject, subject_id=subject_id).order_by("-number")
    number = Coalesce(Subquery(past.values("number")[:1]), 0) + 1
    Transition.objects.create(subject=subject, subject_id=subject_id, number=number, state=state, detail=detail[:500])
