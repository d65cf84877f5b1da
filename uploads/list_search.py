"""Search for the lists of the API and of the admin: by name, SHA-256, id or owner, always from an index.

Each kind of match is a query of its own, within the filters of the list, and finds at most MOST rows.
"""

import re
import uuid
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet, Value
from django.db.models.lookups import GreaterThanOrEqual, LessThan

from .models import Blob, MediaFile, NameKey, Upload

MOST = 1000
LEAST_HEX = 4  # digits: a shorter prefix matches too many hashes
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HEX = re.compile(rf"[0-9a-f]{{{LEAST_HEX},64}}")
_LAST = "\U0010ffff"
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Found:
    pks: set[Any]
    more: bool  # there are more matches than in `pks`


def gather(*matches: QuerySet[Any]) -> Found:
    parts = [list(found.values_list("pk", flat=True)[: MOST + 1]) for found in matches]
    return Found({pk for part in parts for pk in part[:MOST]}, any(len(part) > MOST for part in parts))


def files(rows: QuerySet[MediaFile], text: str) -> Found:
    return gather(named(rows, text), hashed(rows, text), identified(rows, text))


def uploads(rows: QuerySet[Upload], text: str) -> Found:
    return gather(named(rows, text), identified(rows, text))


def named(rows: QuerySet[M], text: str) -> QuerySet[M]:
    """By the start of the name. As a range, because SQLite uses no index for LIKE."""
    key = NameKey("name")
    rows = rows.filter(GreaterThanOrEqual(key, NameKey(Value(text))), LessThan(key, NameKey(Value(text + _LAST))))
    return rows.order_by(key, "pk")


def hashed(rows: QuerySet[MediaFile], text: str) -> QuerySet[MediaFile]:
    text = text.lower()
    if not _HEX.fullmatch(text):
        return rows.none()
    blobs = Blob.objects.filter(sha256__gte=text, sha256__lt=f"{text}g").order_by("sha256")  # g follows f
    return rows.filter(blob__in=list(blobs.values_list("pk", flat=True)[: MOST + 1])).order_by()


def identified(rows: QuerySet[M], text: str) -> QuerySet[M]:
    return rows.filter(pk=uuid.UUID(text)).order_by() if _UUID.fullmatch(text) else rows.none()


def owned_by(rows: QuerySet[M], name: str, owner_field: str = "owner") -> QuerySet[M]:
    """By the exact name of an account. It is looked up first: as a join, the database would filter by it last."""
    owner = User.objects.filter(username=name).values_list("pk", flat=True).first()
    return rows.none() if owner is None else rows.filter(**{owner_field: owner})
