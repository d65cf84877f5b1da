"""The tables of runs on arrival: what accounts have chosen, and what is still to be done for new files."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from uploads.models import MediaFile

from .presets import Preset


class ArrivalChoice(models.Model):
    """Whether an account wants a preset for all accounts to run on its uploads, where it differs from the house."""

    account = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    preset = models.ForeignKey(Preset, on_delete=models.CASCADE, related_name="choices")
    runs = models.BooleanField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["account", "preset"], name="arrival_chosen_once")]

    def __str__(self) -> str:
        return f"{self.preset_id} for {self.account_id}: {'on' if self.runs else 'off'}"


class Arrival(models.Model):
    """A new file on which presets are to be run, once it has been inspected. Then the notes on those that were not.

    The row is deleted when there is nothing to do and nothing to tell.
    """

    file = models.OneToOneField(MediaFile, primary_key=True, on_delete=models.CASCADE, related_name="arrival")
    chosen = models.JSONField(null=True)  # ids of presets that the upload named; None: as its owner has chosen
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)
    notes = models.JSONField(default=list)  # [{"preset": its name, "note": why it does not run}]

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["created_at"], condition=Q(done_at=None), name="arrival_waiting")]

    def __str__(self) -> str:
        return f"arrival of {self.file_id}"
