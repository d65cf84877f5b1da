"""The table of model servers that the operation `predict` may send content to."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from ..prediction.endpoint_url import EndpointUrl
from ..prediction.sent_content import Form, SentContent

ENDPOINT_NAME_LENGTH = 40
# Failures in a row after which jobs wait, and one of them at a time tries the server (queue/endpoint_breaker.py).
OPENS_AFTER = 3


def check_url(text: str) -> None:
    try:
        EndpointUrl.parse(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class ModelEndpoint(models.Model):
    """A model server, as an administrator described it, and how its last requests went."""

    class Sends(models.TextChoices):
        FILE = "file", "the whole file"
        WAV = "wav", "the sound, as WAV"
        FRAMES = "frames", "frames, as JPEG pictures"

    name = models.CharField(
        max_length=ENDPOINT_NAME_LENGTH, unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]*\Z", "Use a–z, 0–9, - and _ only.")],
        help_text="The value of the parameter “endpoint”. It cannot be changed later.",
    )  # fmt: skip
    title = models.CharField(max_length=100, blank=True, help_text="What it does, for people: “Bird calls”.")
    url = models.CharField(
        "URL", max_length=500, validators=[check_url],
        help_text="Content is sent here by POST. Redirects are not followed, and no proxy is used.",
    )  # fmt: skip
    private_addresses = models.BooleanField(
        "private addresses", default=False,
        help_text="Allow that the host has a private or local address, such as 127.0.0.1 or 10.1.2.3.",
    )  # fmt: skip
    header = models.CharField(
        max_length=100, blank=True, help_text="The name of a header that carries a secret, such as Authorization."
    )
    secret = models.TextField(blank=True, editable=False)  # the value of that header: see sealed_text.py
    sends = models.CharField(max_length=8, choices=Sends.choices, default=Sends.FILE)
    rate = models.FloatField(
        default=16000, validators=[MinValueValidator(0.01), MaxValueValidator(48000)],
        help_text="Samples a second of a WAV (4000 to 48000), or pictures a second (0.01 to 60).",
    )  # fmt: skip
    version = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1)],
        help_text="Raise it when the model changes: earlier answers are not used any more. "
        "It rises by itself when the URL changes, or what is sent.",
    )  # fmt: skip
    shares_answers = models.BooleanField(
        "share answers", default=False,
        help_text="An answer for one account is also given to others that send equal content.",
    )  # fmt: skip
    timeout = models.PositiveIntegerField(
        default=600, validators=[MinValueValidator(1), MaxValueValidator(86400)],
        help_text="Seconds that a whole request may take, from connecting to the last byte of the answer.",
    )  # fmt: skip
    concurrency = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="How many jobs use it at the same time, on all hosts together.",
    )  # fmt: skip
    retries = models.PositiveSmallIntegerField(
        default=4, validators=[MaxValueValidator(20)],
        help_text="How often a job tries again after a failure that may pass.",
    )  # fmt: skip
    active = models.BooleanField(default=True, help_text="If off, its jobs wait, and no new ones are accepted.")

    failures = models.PositiveIntegerField(default=0, editable=False)  # in a row
    reason = models.CharField(max_length=100, blank=True, editable=False)  # completes "The model server …"
    next_try = models.DateTimeField(null=True, blank=True, editable=False)  # until then its jobs wait

    class Meta:
        verbose_name = "model server"
        constraints = [
            models.CheckConstraint(condition=Q(concurrency__gte=1), name="endpoint_takes_jobs"),
            models.CheckConstraint(condition=Q(sends__in=["file", "wav", "frames"]), name="endpoint_sends_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def content(self) -> SentContent:
        form: Form = self.sends  # type: ignore[assignment]  # the constraint endpoint_sends_known
        return SentContent(form, 0.0 if form == "file" else self.rate)

    @property
    def is_tried(self) -> bool:
        """Whether it has failed so often that one job at a time tries it."""
        return self.failures >= OPENS_AFTER

    @property
    def places(self) -> int:
        return 1 if self.is_tried else self.concurrency
