"""The notes of an operation about a content, kept in the database (operations.base.Notes)."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections

from uploads.runtime.database_connections import write

from ..models import ContentNote

_MOST = 20  # for each content


class ContentNotes:
    """`about` is what all notes depend on besides the key: operation, version and build of ffmpeg.

    No error of the database is raised: without its notes, an operation does its work again.
    """

    def __init__(self, blob: UUID, *about: object) -> None:
        self._notes = ContentNote.objects.filter(blob=blob)
        self._blob, self._about = blob, about

    def get(self, key: str) -> Mapping[str, Any] | None:
        try:
            return self._notes.filter(key=self._hash(key)).values_list("value", flat=True).first()
        except (DatabaseError, InterfaceError):
            close_old_connections()
            return None

    def __setitem__(self, key: str, value: dict[str, Any]) -> None:
        try:
            self._write(self._hash(key), value)
        except (DatabaseError, InterfaceError):
            close_old_connections()

    def _write(self, key: str, value: dict[str, Any]) -> None:
        with write():
            ContentNote.objects.update_or_create(blob_id=self._blob, key=key, defaults={"value": value})
            newest = self._notes.order_by("-written_at", "-pk").values_list("pk", flat=True)[:_MOST]
            self._notes.exclude(pk__in=list(newest)).delete()

    def _hash(self, key: str) -> str:
        return hashlib.sha256(repr((*self._about, key)).encode()).hexdigest()
