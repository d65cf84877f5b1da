"""Tables about stored bytes: blobs, the storage marker, tombstones, changes of sidecars, open writes."""

import uuid

from django.db import models
from django.db.models import Q

SHA256_HEX = 64


class Blob(models.Model):
    """Stored bytes, immutable, and the facts read from them. Files with equal content share one Blob."""

    class State(models.TextChoices):
        STORING = "storing", "being stored"  # the key is claimed, but no file has this content yet
        STORED = "stored", "stored"
        MISSING = (
            "missing",
            "missing",
        )  # the sink has lost or changed the bytes; the row is kept in case they come back

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sink = models.CharField(max_length=255)
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
            # One Blob per content. Several uploads may be `storing` it; the first that finishes becomes the Blob.
            models.UniqueConstraint(
                fields=["sink", "sha256", "size"], condition=~Q(state="storing"), name="blob_content_once"
            ),
            models.CheckConstraint(condition=Q(size__gt=0), name="blob_not_empty"),
            models.CheckConstraint(condition=Q(state__in=["storing", "stored", "missing"]), name="blob_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.size} bytes)"


class SinkMark(models.Model):
    """The identity of a sink, which its storage marker must equal. This row is also the lock for reserving space."""

    sink = models.CharField(max_length=255, primary_key=True)
    identity = models.UUIDField(default=uuid.uuid4)
    # Why the last sweep did nothing, for an administrator. Empty if it ran.
    warning = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.sink}: {self.identity}"


class Tombstone(models.Model):
    """A key whose bytes may be removed. Written in the transaction that deleted the last reference to them."""

    sink = models.CharField(max_length=255)
    key = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    # Not before this time, and not while work that began earlier is running: others may still read bytes that were
    # moved to another store. Empty: at once.
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sink", "key"], name="tombstone_once")]

    def __str__(self) -> str:
        return self.key


class SidecarChange(models.Model):
    """An outbox: the sidecar of this file at this key must be written again, or removed if the file is gone.

    Inserted in the transaction that changes the file; the sidecar is written within seconds.
    """

    sink = models.CharField(max_length=255)
    key = models.CharField(max_length=64)
    file_id = models.UUIDField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key} of file {self.file_id}"


class OpenWrite(models.Model):
    """A write in a store that keeps no record of its own, such as S3: who holds it, and which bytes of it count.

    Only the holder of `token` changes the row, each time by an UPDATE that filters by the token. `held_until` is by
    the database's clock: later another host may take the write over.
    """

    sink = models.CharField(max_length=255)
    key = models.CharField(max_length=64)
    is_resumable = models.BooleanField()
    size = models.BigIntegerField(null=True, blank=True)  # as announced
    multipart_id = models.TextField(blank=True)
    # The highest part number that a holder was given. None is given twice: what a holder that froze sends late
    # replaces no part that counts.
    last_part = models.PositiveIntegerField(default=0)
    # What counts: `parts`, the first `tail_size` bytes of the object `tail`, and a checkpoint about them.
    parts_size = models.BigIntegerField(default=0)
    tail = models.CharField(max_length=64, blank=True)
    tail_size = models.BigIntegerField(default=0)
    checkpoint = models.TextField(blank=True)
    is_sealed = models.BooleanField(default=False)  # the object may be there: a holder was about to make it
    token = models.UUIDField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sink", "key"], name="open_write_once")]

    def __str__(self) -> str:
        return self.key


class OpenPart(models.Model):
    """A part that counts, of the multipart upload of an OpenWrite."""

    write = models.ForeignKey(OpenWrite, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    size = models.BigIntegerField()
    etag = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["write", "number"], name="open_part_once")]

    def __str__(self) -> str:
        return f"{self.number} ({self.size} bytes)"
