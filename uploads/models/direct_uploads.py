"""The table of direct uploads: those whose bytes go straight from the client to the store."""

from django.db import models
from django.db.models import Q

from .transfers import Upload


class DirectUpload(models.Model):
    """An unfinished direct upload: its open write in the store, and the check of its content.

    The row is deleted when nothing of the open write is left in the store.
    """

    upload = models.OneToOneField(Upload, primary_key=True, on_delete=models.CASCADE, related_name="direct")
    write_id = models.TextField()  # the store's
    part_size = models.BigIntegerField()
    request_id = models.TextField(blank=True)  # of the request that completed it, for the log of the check
    # Since when all parts are there, as one object: a worker is to check its content.
    sent_at = models.DateTimeField(null=True)
    checked = models.BigIntegerField(default=0)  # bytes that have passed the check
    attempts = models.PositiveSmallIntegerField(default=0)  # that began and were not given back
    not_before = models.DateTimeField(null=True)  # the next attempt, while the store cannot be read
    # The lease of the worker that checks it, by the database's clock.
    token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(token=None, lease_until=None) | Q(token__isnull=False, lease_until__isnull=False),
                name="direct_lease_whole",
            ),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=False) | Q(token=None), name="direct_checked_when_sent"
            ),
        ]

    def __str__(self) -> str:
        return f"direct upload {self.upload_id}"

    @property
    def parts(self) -> int:
        """How many parts it has."""
        return -(-self._size // self.part_size)

    def size_of(self, number: int) -> int:
        """The size of a part. The last one may be smaller than the others."""
        return min(self.part_size, self._size - (number - 1) * self.part_size)

    @property
    def _size(self) -> int:
        assert self.upload.declared_size is not None  # by the API
        return self.upload.declared_size
