"""What uploads chose to be run on their files, read in a server's Django. Tests run this by Server.call."""

from typing import Any

from uploads.models import Upload


def named_by_uploads() -> dict[str, Any]:
    """What each upload named, by its id and by that of its file."""
    uploads = list(Upload.objects.all())
    return {str(pk): each.on_arrival for each in uploads for pk in (each.pk, each.file_id) if pk}
