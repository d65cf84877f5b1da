"""Search for jobs, as uploads.search searches for files."""

from django.db.models import QuerySet

from uploads import search
from uploads.models import MediaFile

from .models import Job


def jobs(among: QuerySet[Job], text: str) -> search.Found:
    """Find jobs by the beginning of their file's name, by their operation, or by their id."""
    files = search.gather(search.named(MediaFile.objects.all(), text))
    found = search.gather(
        among.filter(file__in=files.pks).order_by(),
        among.filter(operation=text.lower()).order_by("-created_at", "-pk"),
        search.identified(among, text),
    )
    return search.Found(found.pks, found.more or files.more)
