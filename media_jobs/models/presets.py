"""The table of presets: an operation with parameters, under a name."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

PRESET_NAME_LENGTH = 64


class Preset(models.Model):
    """An operation with parameters that an account saved for itself or, without an owner, for all accounts.

    `params` has only the parameters that were chosen. Defaults are filled in when a job is submitted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="presets"
    )
    name = models.CharField(max_length=PRESET_NAME_LENGTH)
    operation = models.CharField(max_length=32)
    params = models.JSONField(default=dict, blank=True)
    # Whether it runs on each upload: of its owner or, without one, of every account that has not switched it off.
    on_arrival = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [("share_preset", "Can make, change and delete presets for all accounts")]
        indexes = [models.Index(fields=["-created_at", "-id"], name="preset_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], condition=Q(owner__isnull=False), name="preset_name_of_owner"
            ),
            models.UniqueConstraint(fields=["name"], condition=Q(owner=None), name="preset_name_for_all"),
            models.CheckConstraint(condition=~Q(name=""), name="preset_has_name"),
        ]

    def __str__(self) -> str:
        return self.name
