"""Searching. A list asks here, be it the API's or the admin's; whatever was typed, it is answered from indexes.

Each sort of match is looked for by itself, within what the list is narrowed to, and only up to MOST rows.
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
LEAST_HEX = 4  # digits: fewer begin too many hashes, and too many names
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HEX = re.compile(rf"[0-9a-f]{{{LEAST_HEX},64}}")
_LAST = "\U0010ffff"
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Found:
    pks: set[Any]
    more: bool  # than are in `pks`


def gather(*matches: QuerySet[Any]) -> Found:
    parts = [list(rows.values_list("pk", flat=True)[: MOST + 1]) for rows in matches]
    return Found({pk for part in parts for pk in part[:MOST]}, any(len(part) > MOST for part in parts))


def files(among: QuerySet[MediaFile], text: str) -> Found:
    return gather(named(among, text), hashed(among, text), identified(among, text))


def uploads(among: QuerySet[Upload], text: str) -> Found:
    return gather(named(among, text), identified(among, text))


def named(among: QuerySet[M], text: str) -> QuerySet[M]:
    """By the beginning of the name. A range, as SQLite takes no index for LIKE."""
    key = NameKey("name")
    among = among.filter(GreaterThanOrEqual(key, NameKey(Value(text))), LessThan(key, NameKey(Value(text + _LAST))))
    return among.order_by(key, "pk")


def hashed(among: QuerySet[MediaFile], text: str) -> QuerySet[MediaFile]:
    text = text.lower()
    if not _HEX.fullmatch(text):
        return among.none()
    blobs = Blob.objects.filter(sha256__gte=text, sha256__lt=f"{text}g").order_by("sha256")  # g follows f
    return among.filter(blob__in=list(blobs.values_list("pk", flat=True)[: MOST + 1])).order_by()


def identified(among: QuerySet[M], text: str) -> QuerySet[M]:
    return among.filter(pk=uuid.UUID(text)).order_by() if _UUID.fullmatch(text) else among.none()


def owned_by(among: QuerySet[M], name: str) -> QuerySet[M]:
    """By the whole name of an account, looked up first: within a join it would be found last."""
    owner = User.objects.filter(username=name).values_list("pk", flat=True).first()
    return among.none() if owner is None else among.filter(owner=owner)
