"""The tables of batches: one operation on many files, as one request with one progress."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from uploads.models import SHA256_HEX, MediaFile
from uploads.runtime.request_context import REQUEST_ID_LENGTH

from .presets import PRESET_NAME_LENGTH


class Batch(models.Model):
    """One operation on many files. Housekeeping submits its jobs, some hundred at a time (queue/batch_chores.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="batches")
    operation = models.CharField(max_length=32)
    params = models.JSONField(default=dict, blank=True)  # as they were sent
    preset = models.CharField(max_length=PRESET_NAME_LENGTH, blank=True)  # its name, at that time
    metadata = models.JSONField(null=True, blank=True, editable=False)  # of the client's own: all its jobs have it
    priority = models.SmallIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)  # files, at the time of the request
    # Whether housekeeping has something to do for it: files to submit, or jobs to cancel or to retry.
    is_pending = models.BooleanField(default=True)
    cancel_asked = models.BooleanField(default=False)
    retry_asked = models.DateTimeField(null=True, blank=True)  # jobs that failed before are run again
    idempotency_key = models.CharField(max_length=255, blank=True)
    fingerprint = models.CharField(max_length=SHA256_HEX, blank=True)
    request_id = models.CharField(max_length=REQUEST_ID_LENGTH, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "batches"
        default_permissions = ()  # those of jobs count
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="batch_newest"),
            models.Index(fields=["created_at"], condition=Q(is_pending=True), name="batch_pending"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], condition=~Q(idempotency_key=""), name="batch_key_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.preset or self.operation} on {self.total} files"


class BatchItem(models.Model):
    """A file of a batch whose job is not submitted: not yet, or not at all, with the reason as `note`.

    The row is deleted in the transaction that inserts the job: nothing is submitted twice, or forgotten.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items", db_index=False)
    number = models.PositiveIntegerField()
    file = models.ForeignKey(MediaFile, on_delete=models.CASCADE, related_name="+")
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["batch", "number"], condition=Q(note=""), name="batch_item_waiting")]
        constraints = [models.UniqueConstraint(fields=["batch", "file"], name="batch_item_once")]

    def __str__(self) -> str:
        return f"file {self.number} of batch {self.batch_id}"
