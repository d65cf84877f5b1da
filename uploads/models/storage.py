"""Rows about stored bytes: blobs, and what ties them to their sink."""

import uuid

from django.db import models
from django.db.models import Q

SHA256_HEX = 64


class Blob(models.Model):
    """Stored bytes, immutable, and what was read from them. Shared by every MediaFile of the same content."""

    class State(models.TextChoices):
        STORING = "storing", "being stored"  # claims its key; not yet anybody's content
        STORED = "stored", "stored"
        MISSING = (
            "missing",
            "missing",
        )  # the sink lost the bytes, or changed them: kept, in case they come back

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sink = models.CharField(max_length=32)
    key = models.CharField(max_length=64)
    sha256 = models.CharField("SHA-256", max_length=SHA256_HEX, db_index=True)
    size = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.STORING)
    kind = models.CharField(max_length=16, blank=True)
    media_type = models.CharField(max_length=127)
    facts = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sink", "key"], name="blob_key_once"),
            # One Blob for the same bytes. Two uploads may both be `storing` them: the first to finish wins.
            models.UniqueConstraint(
                fields=["sink", "sha256", "size"], condition=~Q(state="storing"), name="blob_content_once"
            ),
            models.CheckConstraint(condition=Q(size__gt=0), name="blob_not_empty"),
            models.CheckConstraint(condition=Q(state__in=["storing", "stored", "missing"]), name="blob_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.size} bytes)"


class SinkMark(models.Model):
    """Which place a sink's name means. The row is also the lock under which its free space is given out."""

    sink = models.CharField(max_length=32, primary_key=True)
    identity = models.UUIDField(default=uuid.uuid4)
    # Why the last sweep touched nothing, in words for an administrator. Empty when it did its work.
    warning = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.sink}: {self.identity}"


class Tombstone(models.Model):
    """A key whose bytes may be removed: written in the transaction that took away the last reason to keep them."""

    sink = models.CharField(max_length=32)
    key = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sink", "key"], name="tombstone_once")]

    def __str__(self) -> str:
        return self.key


class SidecarChange(models.Model):
    """An outbox: the sidecar of this file at this key is to be written anew, or removed if there is no such file.

    Inserted in the transaction that changes the file; the store follows within seconds.
    """

    sink = models.CharField(max_length=32)
    key = models.CharField(max_length=64)
    file_id = models.UUIDField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key} of file {self.file_id}"
