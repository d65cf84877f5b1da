"""Rows about files: a blob with an owner and a name."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..content.sniffing import Kind
from .storage import Blob


class NameKey(models.Func):
    """A name as it is sorted and found: in lower case, in an order in which those that begin alike are a range."""

    function = "LOWER"
    arity = 1
    output_field = models.CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        # The database's own order may be a language's, where a beginning is no range.
        return self.as_sql(compiler, connection, template='%(function)s(%(expressions)s) COLLATE "C"', **more)


class MediaFile(models.Model):
    """A Blob that somebody owns under a name: what people call a file."""

    class Origin(models.TextChoices):
        UPLOAD = "upload", "uploaded"
        INGEST = "ingest", "taken in from disk"
        JOB = "job", "made by a job"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # PROTECT: removing an account must not strand the bytes of its files. Files go first, by the delete verb.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="media_files", db_index=False
    )
    name = models.CharField(max_length=255)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="files")
    # Its Blob's, which never change: here, too, as an index cannot reach into another table. `save` copies them.
    kind = models.CharField(
        max_length=16, blank=True, editable=False, choices=[(kind.value, kind.value) for kind in Kind]
    )
    size = models.BigIntegerField(editable=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.UPLOAD)
    # Whether this file's own inspection has read its facts. Its Blob may have them from another account's file: shown
    # here too early, they would tell that somebody has the same content.
    has_facts = models.BooleanField(default=False, editable=False)
    # Part of every signed link to this file: counting up revokes them all.
    link_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "file"
        # Each begins as a list is narrowed and sorted, and ends with all else that it may be narrowed by: whatever is
        # asked for together, the database reads on in an index, and no row that it does not show. The owner's is also
        # that of its foreign key, which would get another.
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
            # It would undo what others have changed since the row was read, and bring back a file that was deleted.
            raise TypeError("Change a file by an UPDATE of named columns, as rename_file does.")
        super().save(*args, **kwargs)

    @property
    def facts(self) -> dict[str, Any] | None:
        """What was read from its content, as far as its owner may know. Whoever shows facts asks here."""
        found: dict[str, Any] | None = self.blob.facts
        return found if self.has_facts else None
