"""Jobs and their inputs. queue/submission.py inserts jobs, and queue/states.py changes their status."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet

from uploads.models import SHA256_HEX, MediaFile, Upload
from uploads.runtime.request_context import REQUEST_ID_LENGTH

from .batches import Batch
from .model_endpoints import ModelEndpoint
from .presets import PRESET_NAME_LENGTH
from .workers import Worker


class TopLevelJobs(models.Manager["Job"]):
    """Jobs without their children: what users see, count and search."""

    def get_queryset(self) -> QuerySet["Job"]:
        return super().get_queryset().filter(parent=None)


class Job(models.Model):
    """One Operation on one main file, or on an Upload that will become that file.

    A job may be split into child jobs, each with one part of its work (queue/children.py). While they are unfinished
    the parent is queued and no worker can claim it.
    """

    class Status(models.TextChoices):
        UPLOADING = "uploading", "waits for its upload"
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    UNFINISHED = (Status.UPLOADING, Status.QUEUED, Status.RUNNING)

    class Phase(models.TextChoices):
        FETCHING = "fetching", "fetching"
        WORKING = "working", "working"
        VERIFYING = "verifying", "verifying"
        STORING = "storing", "storing"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    operation = models.CharField(max_length=32)
    version = models.PositiveIntegerField()
    params = models.JSONField(default=dict, blank=True)  # canonical: every default filled in
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs", db_index=False
    )
    # The name of the preset that the parameters are from, at that time. Empty if they were given.
    preset = models.CharField(max_length=PRESET_NAME_LENGTH, blank=True, default="", db_default="")
    metadata = models.JSONField(null=True, blank=True, editable=False)  # as that of files; not read by operations
    # Finished jobs outlive their files; unfinished jobs keep them (hooks.file_deleting).
    file = models.ForeignKey(MediaFile, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    upload = models.ForeignKey(Upload, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    input_bytes = models.BigIntegerField(null=True, editable=False)  # of all its files; None: not known
    automatic = models.BooleanField(default=False)  # not submitted by its owner: it is deleted with its file
    # From a preset that runs on new files: it is cancelled with its file, but what it has made stays.
    on_arrival = models.BooleanField(default=False, db_default=False)

    lane = models.CharField(max_length=16)
    priority = models.SmallIntegerField(default=0)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    not_before = models.DateTimeField(null=True, blank=True)  # the next attempt, after a failure that may pass
    # How many ended without a result: failed, cancelled, or with a lost worker. See `attempt`.
    attempts = models.PositiveSmallIntegerField(default=0)
    # Equal for identical jobs (queue/single_flight.py). Empty until the file is known.
    cache_key = models.CharField(max_length=SHA256_HEX, blank=True)
    # The constraint job_child_numbered is its index. Another one would be chosen for lists, and not serve them.
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    pending_children = models.PositiveIntegerField(default=0, db_default=0)  # that have not succeeded yet
    # Of a child: its place among its siblings, its share of the work, and what the operation needs to know of it.
    number = models.PositiveIntegerField(default=0, db_default=0)
    weight = models.FloatField(default=1, db_default=1)  # seconds of media
    part = models.JSONField(null=True, blank=True)
    leader = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="followers")
    cached = models.BooleanField(default=False)
    # The model server that it sends to, and whether it has one of the places there while it runs.
    endpoint = models.ForeignKey(
        ModelEndpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs", db_index=False
    )
    at_endpoint = models.BooleanField(default=False, db_default=False)

    # The lease.
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    cancel_asked = models.BooleanField(default=False)
    # While it runs: how many keys of its token may have bytes. Later: how many artifacts it made.
    outputs = models.PositiveSmallIntegerField(default=0)

    phase = models.CharField(max_length=16, choices=Phase.choices, blank=True)
    progress = models.FloatField(default=0)
    message = models.CharField(max_length=255, blank=True)
    speed = models.FloatField(null=True, blank=True)  # seconds of media a second
    eta_seconds = models.PositiveIntegerField(null=True, blank=True)

    error_code = models.CharField(max_length=32, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    command = models.TextField(blank=True)  # the ffmpeg commands, one a line
    log = models.TextField(blank=True)  # the last lines of ffmpeg's output
    build = models.CharField("ffmpeg", max_length=128, blank=True)
    measured = models.JSONField(null=True, blank=True)  # what its operation measured at the result

    idempotency_key = models.CharField(max_length=255, blank=True)
    fingerprint = models.CharField(max_length=SHA256_HEX, blank=True)
    # The id of the request that submitted it, for the log of its attempts. Empty if a command submitted it.
    request_id = models.CharField(max_length=REQUEST_ID_LENGTH, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TopLevelJobs()
    with_children = models.Manager["Job"]()

    class Meta:
        # The first six are for lists, which show no children.
        indexes = [
            models.Index(
                fields=["-created_at", "-id", "status", "operation", "lane", "owner"],
                name="job_newest",
                condition=Q(parent=None),
            ),
            models.Index(
                fields=["owner", "-created_at", "-id", "status", "operation", "lane"],
                name="job_newest_of_owner",
                condition=Q(parent=None),
            ),
            models.Index(
                fields=["status", "-created_at", "-id", "operation", "lane", "owner"],
                name="job_newest_of_status",
                condition=Q(parent=None),
            ),
            models.Index(
                fields=["operation", "-created_at", "-id", "status", "lane", "owner"],
                name="job_newest_of_operation",
                condition=Q(parent=None),
            ),
            models.Index(
                fields=["lane", "-created_at", "-id", "status", "operation", "owner"],
                name="job_newest_of_lane",
                condition=Q(parent=None),
            ),
            models.Index(
                fields=["batch", "-created_at", "-id", "status"],
                name="job_newest_of_batch",
                condition=Q(batch__isnull=False),
            ),
            # For the claim: the best priority, then the owner, then the oldest job.
            models.Index(
                fields=["lane", "-priority", "owner", "queued_at", "id"],
                condition=Q(status="queued", leader=None, pending_children=0),
                name="job_claimable",
            ),
            models.Index(fields=["lease_until"], condition=Q(status="running"), name="job_leases"),
            # For single flight and results. Not a partial index: SQLite would ignore it, as the query passes the
            # statuses as parameters.
            models.Index(fields=["cache_key", "status"], name="job_same_work"),
            models.Index(fields=["endpoint", "status"], condition=Q(endpoint__isnull=False), name="job_of_endpoint"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="job_finished"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["uploading", "queued", "running", "succeeded", "failed", "cancelled"]),
                name="job_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status="running", token__isnull=False, lease_until__isnull=False)
                | (~Q(status="running") & Q(token=None, lease_until=None)),
                name="job_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(status="uploading", upload__isnull=False, file=None)
                | Q(status__in=["queued", "running"], file__isnull=False)
                | Q(status__in=["succeeded", "failed", "cancelled"]),
                name="job_has_input",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["uploading", "queued", "running"], finished_at=None)
                | Q(status__in=["succeeded", "failed", "cancelled"], finished_at__isnull=False),
                name="job_finished_has_end",
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(error_code="")) | (~Q(status="failed") & Q(error_code="")),
                name="job_failed_has_error",
            ),
            models.CheckConstraint(
                condition=Q(status="succeeded", progress=1)
                | (~Q(status="succeeded") & Q(progress__gte=0, progress__lt=1)),
                name="job_progress_ends",
            ),
            models.CheckConstraint(condition=Q(leader=None) | ~Q(status="running"), name="job_follower_waits"),
            models.CheckConstraint(
                condition=Q(pending_children=0) | Q(status="queued", parent=None), name="job_waits_for_children"
            ),
            models.UniqueConstraint(
                fields=["parent", "number"], condition=Q(parent__isnull=False), name="job_child_numbered"
            ),
            # Single flight: of identical jobs one runs at a time, and the others follow it.
            models.UniqueConstraint(
                fields=["cache_key"],
                condition=Q(status__in=["queued", "running"], leader=None) & ~Q(cache_key=""),
                name="job_leads_once",
            ),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], condition=~Q(idempotency_key=""), name="job_key_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} ({self.status})"

    @property
    def is_finished(self) -> bool:
        return self.status not in self.UNFINISHED

    @property
    def attempt(self) -> int:
        """The number of the latest attempt, from 1; 0 before the first one, and for a job answered from the cache.

        An attempt that a stopping worker released does not count: the next attempt has its number.
        """
        is_or_was_the_last = self.status == self.Status.RUNNING or (
            self.status == self.Status.SUCCEEDED and not self.cached
        )
        return self.attempts + is_or_was_the_last


class JobInput(models.Model):
    """A further input of a Job, besides its main file."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="inputs")
    number = models.PositiveSmallIntegerField()
    file = models.ForeignKey(MediaFile, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="job_input_numbered")]

    def __str__(self) -> str:
        return f"input {self.number} of {self.job_id}"
