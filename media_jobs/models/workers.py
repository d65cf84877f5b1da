"""The tables of lanes, of fair shares between owners, and of the workers that live."""

import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Now

# A worker that has not written its row for this long counts as dead.
WORKER_TIMEOUT = timedelta(seconds=20)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Lane(models.Model):
    """A queue of jobs of one kind. A paused lane starts no jobs; running jobs continue."""

    name = models.CharField(max_length=16, primary_key=True)
    paused = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class Share(models.Model):
    """How much of a lane's time an owner has had. The owner who has had least is next.

    Who comes back after a pause begins where the others are: time that nobody asked for is not saved up.
    """

    lane = models.CharField(max_length=16)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    served_at = models.DateTimeField()  # among equals, the owner who was served least recently is next
    used = models.FloatField(default=0)  # seconds of work, from where the owner began
    # `used` when the owner was last served. The highest of a lane is where the others are.
    level = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lane", "owner"], name="share_once")]

    def __str__(self) -> str:
        return f"{self.owner_id} in {self.lane}"

    @classmethod
    def ensure(cls, lane: str, owner_id: int) -> None:
        """An owner with jobs in a lane has a share, or they would never be claimed."""
        cls.objects.get_or_create(lane=lane, owner_id=owner_id, defaults={"served_at": _LONG_AGO})


class Worker(models.Model):
    """One slot: a process that runs one job at a time. It writes this row every few seconds while it lives."""

    class State(models.TextChoices):
        IDLE = "idle", "idle"
        BUSY = "busy", "busy"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lane = models.CharField(max_length=16)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.IDLE)
    build = models.CharField("ffmpeg", max_length=128, blank=True)
    layers = models.JSONField("sandbox", default=dict, blank=True)
    extras = models.CharField(max_length=255, blank=True, default="", db_default="")  # that are installed on its host
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()  # by the database's clock
    heard_at = models.DateTimeField()  # when it last became idle or busy
    # The largest input that it has the space to fetch. None: it need not fetch any.
    room = models.BigIntegerField(null=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["lane", "seen_at"], name="worker_live")]

    def __str__(self) -> str:
        return f"{self.lane} on {self.host}, process {self.pid}"

    @classmethod
    def live(cls) -> QuerySet["Worker"]:
        return cls.objects.filter(seen_at__gte=Now() - WORKER_TIMEOUT)

    def has(self, extra: str) -> bool:
        """Whether the extra of this name is installed on its host."""
        return any(words.partition(" ")[0] == extra for words in self.extras.split(", "))
