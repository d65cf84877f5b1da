"""What operations have found out about a content, for later jobs on it."""

from django.db import models

from uploads.models import SHA256_HEX, Blob


class ContentNote(models.Model):
    """Such as the VMAF of each CRF that a quality search has probed, or a piece of a transcript.

    It may be deleted at any time.
    """

    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=SHA256_HEX)  # a hash of all that the value depends on
    value = models.JSONField()
    written_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "key"], name="content_note_once")]

    def __str__(self) -> str:
        return f"{self.key[:12]} of {self.blob_id}"
