"""Rows, and what the database holds them to. What happens to them is in storage.blobs and receiving."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from knox.models import AbstractAuthToken

from ..content.sniffing import Kind
from .service import Alert as Alert
from .service import ChoreRecord as ChoreRecord
from .service import CounterIncrement as CounterIncrement

SHA256_HEX = 64
PREFIX_LENGTH = 8


class NameKey(models.Func):
    """A name as it is sorted and found: in lower case, in an order in which those that begin alike are a range."""

    function = "LOWER"
    arity = 1
    output_field = models.CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        # The database's own order may be a language's, where a beginning is no range.
        return self.as_sql(compiler, connection, template='%(function)s(%(expressions)s) COLLATE "C"', **more)


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


class Upload(models.Model):
    """Bytes on their way to become a MediaFile; afterwards, the record of how that went."""

    class State(models.TextChoices):
        RECEIVING = "receiving", "receiving"
        COMPLETE = "complete", "complete"
        FAILED = "failed", "failed"

    class Protocol(models.TextChoices):
        FORM = "form", "form"
        PUT = "put", "raw PUT"
        TUS = "tus", "tus"
        INGEST = "ingest", "ingest"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads", db_index=False
    )
    name = models.CharField(max_length=255)
    protocol = models.CharField(max_length=16, choices=Protocol.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RECEIVING)
    sink = models.CharField(max_length=32)
    declared_size = models.BigIntegerField(null=True, blank=True)
    reserved = models.BigIntegerField(default=0)  # of quota and disk, while receiving
    offset = models.BigIntegerField(default=0)
    speed = models.BigIntegerField(default=0)  # bytes a second, lately
    error_code = models.CharField(max_length=32, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    route = models.CharField(max_length=64, blank=True)
    fingerprint = models.CharField(max_length=SHA256_HEX, blank=True)
    file = models.ForeignKey(MediaFile, null=True, blank=True, on_delete=models.SET_NULL, related_name="uploads")
    token = models.UUIDField(null=True, blank=True, editable=False)  # public_id of the Token that began it
    created_at = models.DateTimeField(auto_now_add=True)
    # Written by the database's clock while somebody holds this upload: an old one has lost its holder. Empty while
    # a resumable upload waits for somebody to go on with it.
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    # By the same clock: since when a resumable upload has waited so. Its promise lapses by this.
    paused_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Of a resumable upload only. Its bytes are at `key` in the sink, whose word on how many there are is the truth;
    # it is the id as text, so that they can be locked before anything is asked of the database.
    key = models.CharField(max_length=64, blank=True)
    metadata = models.TextField(blank=True)  # as its client sent it, to be given back
    expires_at = models.DateTimeField(null=True, blank=True)
    # What lies beyond was sent with a checksum that has not been verified: it counts for nothing.
    unverified_from = models.BigIntegerField(null=True, blank=True)
    stop_asked = models.BooleanField(default=False)  # another request waits for the holder to let go

    class Meta:
        indexes = [
            models.Index(fields=["-created_at", "-id", "state", "protocol", "owner"], name="upload_newest"),
            models.Index(fields=["owner", "-created_at", "-id", "state", "protocol"], name="upload_newest_of_owner"),
            models.Index(fields=["state", "-created_at", "-id", "protocol", "owner"], name="upload_newest_of_state"),
            models.Index(NameKey("name"), "id", "state", "protocol", "owner", "created_at", name="upload_by_name"),
            models.Index(fields=["owner"], condition=Q(state="receiving"), name="upload_live"),
            models.Index(fields=["expires_at"], condition=Q(state="receiving"), name="upload_expiring"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "route", "idempotency_key"],
                condition=Q(state__in=["receiving", "complete"]) & ~Q(idempotency_key=""),
                name="upload_key_once",
            ),
            models.CheckConstraint(
                condition=Q(state="receiving", finished_at=None, file=None, error_code="")
                | Q(state="complete", finished_at__isnull=False, error_code="", reserved=0)
                | (Q(state="failed", finished_at__isnull=False, file=None, reserved=0) & ~Q(error_code="")),
                name="upload_state_consistent",
            ),
            models.CheckConstraint(condition=Q(offset__gte=0, reserved__gte=0), name="upload_counts"),
            models.UniqueConstraint(fields=["key"], condition=~Q(key=""), name="upload_sink_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    @property
    def is_resumable(self) -> bool:
        return bool(self.key)


class Transition(models.Model):
    """One past change of state of an Upload or a Job, numbered per subject."""

    subject = models.CharField(max_length=16, choices=[("upload", "upload"), ("job", "job")])
    subject_id = models.UUIDField()
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16)
    detail = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "subject_id", "number"], name="transition_numbered"),
            models.CheckConstraint(condition=Q(number__gte=1), name="transition_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id} #{self.number}: {self.state}"


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


class AccountLimits(models.Model):
    """What administrators allow an account, or the members of a group. What is empty is left to others to say."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="own_limits"
    )
    group = models.OneToOneField(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="limits")
    quota = models.BigIntegerField(null=True, blank=True)  # bytes, as is the next
    max_file_size = models.BigIntegerField("largest file", null=True, blank=True)
    max_uploads = models.PositiveIntegerField(
        "parallel uploads", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )

    class Meta:
        verbose_name = verbose_name_plural = "limits"
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group=None) | Q(user=None, group__isnull=False),
                name="limits_of_user_or_group",
            ),
            models.CheckConstraint(
                condition=(Q(quota=None) | Q(quota__gte=0))
                & (Q(max_file_size=None) | Q(max_file_size__gte=1))
                & (Q(max_uploads=None) | Q(max_uploads__gte=1)),
                name="limits_let_something_in",
            ),
        ]

    def __str__(self) -> str:
        return f"limits of {self.user or self.group}"


class Token(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A program's key: named, hashed at rest, expiring, revoked by deletion."""

    # Knox's own key is the hash. This one may stand in addresses and logs.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    scopes = models.JSONField()  # the names of Scope

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def prefix(self) -> str:
        """How a token begins, for people to tell theirs apart."""
        return str(self.token_key[:PREFIX_LENGTH])
