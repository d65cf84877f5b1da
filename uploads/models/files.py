"""The table of files: a Blob with an owner and a name."""

import uuid
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.conf import settings
from django.core.files import File
from django.db import models
from django.db.models import Q

from ..content.sniffing import Kind
from .storage import Blob


class NameKey(models.Func):
    """A name in lower case, collated so that names with a common prefix are a range. For sorting and searching."""

    function = "LOWER"
    arity = 1
    output_field = models.CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        # The database's own collation may be that of a language, where a prefix is not a range.
        return self.as_sql(compiler, connection, template='%(function)s(%(expressions)s) COLLATE "C"', **more)


class MediaFile(models.Model):
    """A file: a Blob with an owner and a name."""

    class Origin(models.TextChoices):
        UPLOAD = "upload", "uploaded"
        INGEST = "ingest", "taken in from disk"
        JOB = "job", "made by a job"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # PROTECT: the files of an account must be deleted first (`delete_file`), which also removes their bytes.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="media_files", db_index=False
    )
    name = models.CharField(max_length=255)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="files")
    # Copies of the Blob's values, which never change: an index cannot span two tables. Set by `save`.
    kind = models.CharField(
        max_length=16, blank=True, editable=False, choices=[(kind.value, kind.value) for kind in Kind]
    )
    size = models.BigIntegerField(editable=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.UPLOAD)
    # Whether this file's own inspection has finished. The Blob may have facts from another account's file: shown
    # before that, they would reveal that somebody else has the same content.
    has_facts = models.BooleanField(default=False, editable=False)
    # A JSON object of the client's own (text/client_metadata.py). None: there is none.
    metadata = models.JSONField(null=True, blank=True, editable=False)
    # Since when its name and metadata are in the index of the search (text_index.py). None: a chore puts them there.
    indexed_at = models.DateTimeField(null=True, editable=False)
    # Part of every signed link to this file: incrementing it revokes all of them.
    link_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    # Makes the File of `content`. Set at start-up (apps.py): models do not know the stores.
    content_of: ClassVar["Callable[[MediaFile], File[bytes]]"]

    class Meta:
        verbose_name = "file"
        # Each index starts with the columns of a filter and of the sort order, then has all other filter columns.
        # So for any combination of filters the database reads one index, and only the rows that are shown. The index
        # of the owner also serves its foreign key.
        indexes = [
            models.Index(fields=["-created_at", "-id", "kind", "origin", "owner", "size"], name="file_newest"),
            models.Index(
                fields=["owner", "-created_at", "-id", "kind", "origin", "size"], name="file_newest_of_owner"
            ),
            models.Index(
                fields=["kind", "-created_at", "-id", "origin", "owner", "size"], name="file_newest_of_kind"
            ),
            models.Index(
                fields=["origin", "-created_at", "-id", "kind", "owner", "size"], name="file_newest_of_origin"
            ),
            models.Index(fields=["size", "id", "kind", "origin", "owner", "created_at"], name="file_by_size"),
            models.Index(NameKey("name"), "id", "kind", "origin", "owner", "created_at", "size", name="file_by_name"),
            models.Index(fields=["created_at", "id"], name="file_not_indexed", condition=Q(indexed_at=None)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(origin__in=["upload", "ingest", "job"]), name="file_origin_known"),
            models.CheckConstraint(condition=~Q(name=""), name="file_has_name"),
            models.CheckConstraint(condition=Q(size__gt=0), name="file_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            self.kind, self.size = self.blob.kind, self.blob.size
        elif kwargs.get("update_fields") is None:
            # A full save would overwrite changes made since the row was read, and recreate a deleted file.
            raise TypeError("Change a file with an UPDATE of single columns, as rename_file does.")
        super().save(*args, **kwargs)

    @property
    def facts(self) -> dict[str, Any] | None:
        """The facts read from its content, None before its own inspection. Use this instead of `blob.facts`."""
        found: dict[str, Any] | None = self.blob.facts
        return found if self.has_facts else None

    @cached_property
    def content(self) -> "File[bytes]":
        """Its bytes as a Django File, opened at the first read. For Python code; close it, or use `with`."""
        return type(self).content_of(self)
