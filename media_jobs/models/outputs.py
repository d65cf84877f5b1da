"""What jobs make: artifacts, which are files, and scratch blobs, which only their parent needs."""

from django.db import models
from django.db.models import Q

from uploads.models import SHA256_HEX, MediaFile

from .jobs import Job


class ScratchBlob(models.Model):
    """Stored bytes that a child job made for its parent. They are no file, and go when the parent ends.

    Those with a recipe are kept then, without a child, for a later job (queue/kept_parts.py).
    """

    child = models.ForeignKey(Job, null=True, blank=True, on_delete=models.CASCADE, related_name="scratch")
    name = models.CharField(max_length=64)
    sink = models.CharField(max_length=255)
    key = models.CharField(max_length=64)
    size = models.BigIntegerField()
    sha256 = models.CharField("SHA-256", max_length=SHA256_HEX)
    recipe = models.CharField(max_length=SHA256_HEX, blank=True, default="", db_default="")  # what they depend on
    kept_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["recipe"], condition=Q(child=None), name="scratch_kept")]
        constraints = [
            models.UniqueConstraint(fields=["key"], name="scratch_key_once"),
            models.UniqueConstraint(fields=["child", "name"], name="scratch_named"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.child_id or self.recipe}"


class Artifact(models.Model):
    """A named output of a Job."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="artifacts")
    name = models.CharField(max_length=64)
    file = models.ForeignKey(MediaFile, on_delete=models.CASCADE, related_name="artifacts")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="artifact_named")]

    def __str__(self) -> str:
        return self.name


class WaitingText(models.Model):
    """An artifact whose texts are to be put into the index of the search (queue/texts.py)."""

    artifact = models.OneToOneField(Artifact, primary_key=True, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return str(self.artifact)
