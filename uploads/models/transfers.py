"""The tables of uploads, and of the numbered state changes of uploads and jobs."""

import uuid
from collections.abc import Sequence

from django.conf import settings
from django.db import connection, models
from django.db.models import Q, QuerySet

from .files import MediaFile, NameKey
from .storage import SHA256_HEX


class Upload(models.Model):
    """A transfer that becomes a MediaFile: its state, progress and reservation. Kept afterwards as a record."""

    class State(models.TextChoices):
        RECEIVING = "receiving", "receiving"
        COMPLETE = "complete", "complete"
        FAILED = "failed", "failed"

    class Protocol(models.TextChoices):
        FORM = "form", "form"
        PUT = "put", "raw PUT"
        TUS = "tus", "tus"
        DIRECT = "direct", "direct"
        INGEST = "ingest", "ingest"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads", db_index=False
    )
    name = models.CharField(max_length=255)
    protocol = models.CharField(max_length=16, choices=Protocol.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RECEIVING)
    sink = models.CharField(max_length=255)
    declared_size = models.BigIntegerField(null=True, blank=True)
    reserved = models.BigIntegerField(default=0)  # bytes of quota and disk space, while receiving
    offset = models.BigIntegerField(default=0)
    speed = models.BigIntegerField(default=0)  # bytes per second, recently
    error_code = models.CharField(max_length=32, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    route = models.CharField(max_length=64, blank=True)
    fingerprint = models.CharField(max_length=SHA256_HEX, blank=True)
    file = models.ForeignKey(MediaFile, null=True, blank=True, on_delete=models.SET_NULL, related_name="uploads")
    token = models.UUIDField(null=True, blank=True, editable=False)  # public_id of the Token that started it
    created_at = models.DateTimeField(auto_now_add=True)
    # Written with the database's clock while a request sends this upload: if it is old, the server has died. Empty
    # while a resumable upload is paused.
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    # By the same clock: since when a resumable upload is paused. Its reservation is released by this.
    paused_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Of a resumable upload only. Its bytes are at `key` in the sink, which knows how many have arrived. The key is
    # the id as text, so that the bytes can be locked before the row is read.
    key = models.CharField(max_length=64, blank=True)
    metadata = models.TextField(blank=True)  # Upload-Metadata as the client sent it, returned by HEAD
    expires_at = models.DateTimeField(null=True, blank=True)
    # Ids of what its client chose to be run on the new file (hooks.arrival_choices). None: as its owner has chosen.
    on_arrival = models.JSONField(null=True, editable=False)
    file_metadata = models.JSONField(null=True, editable=False)  # that the file is to have
    # Bytes from this offset on were sent with a checksum that is not verified yet: they do not count.
    unverified_from = models.BigIntegerField(null=True, blank=True)
    stop_asked = models.BooleanField(default=False)  # another request waits for the lock

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
    def is_direct(self) -> bool:
        """Whether its client sends the bytes straight to the store."""
        return self.protocol == self.Protocol.DIRECT

    @property
    def is_resumable(self) -> bool:
        return bool(self.key) and not self.is_direct

    @property
    def outlives_requests(self) -> bool:
        """Whether it goes on when the request that made it has ended."""
        return bool(self.key)


_UUID = models.UUIDField()
_INSERT_TRANSITION = """
    INSERT INTO uploads_transition (subject, subject_id, number, state, detail, created_at)
    VALUES (
        %s, %s, (SELECT COALESCE(MAX(number), 0) + 1 FROM uploads_transition WHERE subject = %s AND subject_id = %s),
        %s, %s, {now}
    )
"""
# The database's clock: those of the hosts differ, and a timeline must not go back in time.
_NOW = {"postgresql": "statement_timestamp()", "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"}


class Transition(models.Model):
    """One state change of an Upload or a Job, numbered per subject."""

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

    @classmethod
    def record(cls, subject: str, subject_id: uuid.UUID, state: str, detail: str = "") -> None:
        """Add the next transition. Call it in the transaction of the change, which has locked the subject's row."""
        # SQL by hand: the ORM takes six times as long, and a small upload records three transitions.
        key = (subject, _UUID.get_db_prep_value(subject_id, connection))
        insert = _INSERT_TRANSITION.format(now=_NOW[connection.vendor])
        with connection.cursor() as cursor:
            cursor.execute(insert, [*key, *key, str(state), detail[:500]])

    @classmethod
    def record_many(cls, subject: str, subject_ids: Sequence[uuid.UUID], state: str, detail: str = "") -> None:
        """The same for several subjects, whose rows the transaction has inserted or locked."""
        keys = [_UUID.get_db_prep_value(subject_id, connection) for subject_id in subject_ids]
        with connection.cursor() as cursor:
            cursor.executemany(
                _INSERT_TRANSITION.format(now=_NOW[connection.vendor]),
                [(subject, key, subject, key, str(state), detail[:500]) for key in keys],
            )

    @classmethod
    def history(cls, subject: str, subject_id: uuid.UUID) -> QuerySet["Transition"]:
        """All state changes of an Upload or a Job, in order."""
        return cls.objects.filter(subject=subject, subject_id=subject_id).order_by("number")
