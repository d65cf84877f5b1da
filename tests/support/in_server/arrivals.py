"""What uploads chose to be run on their files, read in a server's Django. Tests run this by Server.call."""

from typing import Any

from django.contrib.auth.models import User

from media_jobs.models import Arrival, Preset
from media_jobs.queue import presets
from uploads.models import Upload


def named_by_uploads() -> dict[str, Any]:
    """What each upload named, by its id and by that of its file."""
    uploads = list(Upload.objects.all())
    return {str(pk): each.on_arrival for each in uploads for pk in (each.pk, each.file_id) if pk}


def to_be_run() -> dict[str, Any]:
    """The ids of the presets that are to be run on new files, by the names of these."""
    return {each.file.name: each.chosen for each in Arrival.objects.select_related("file")}


def save_preset(owner: str, name: str) -> str:
    preset = presets.save(User.objects.get(username=owner), name, "thumbnail", {})
    return str(preset.pk)


def delete_presets(owner: str) -> None:
    Preset.objects.filter(owner__username=owner).delete()


def run_on_arrival(preset: str) -> None:
    presets.change(Preset.objects.get(pk=preset), on_arrival=True)
