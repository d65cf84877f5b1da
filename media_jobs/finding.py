"""Searching jobs, as uploads.finding does files."""

from django.db.models import QuerySet

from uploads import finding
from uploads.models import MediaFile

from .models import Job


def jobs(among: QuerySet[Job], text: str) -> finding.Found:
    """By the beginning of their file's name, by their operation, or by their id."""
    files = finding.gather(finding.named(MediaFile.objects.all(), text))
    found = finding.gather(
        among.filter(file__in=files.pks).order_by(),
        among.filter(operation=text.lower()).order_by("-created_at", "-pk"),
        finding.identified(among, text),
    )
    return finding.Found(found.pks, found.more or files.more)
