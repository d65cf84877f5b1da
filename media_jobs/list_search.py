"""Search for jobs, as uploads.list_search searches for files."""

from django.db.models import QuerySet

from uploads import list_search
from uploads.models import MediaFile

from .models import Job


def jobs(among: QuerySet[Job], text: str) -> list_search.Found:
    """Find jobs by the beginning of their file's name, by their operation, or by their id."""
    files = list_search.gather(list_search.named(MediaFile.objects.all(), text))
    found = list_search.gather(
        among.filter(file__in=files.pks).order_by(),
        among.filter(operation=text.lower()).order_by("-created_at", "-pk"),
        list_search.identified(among, text),
    )
    return list_search.Found(found.pks, found.more or files.more)
