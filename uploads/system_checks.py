"""`manage.py check`: what about keeping files is set up wrongly, in words."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from .conf import limits, sink
from .sinks.local.sink import LocalSink

HANDLER = "uploads.http.upload_handler.StreamingUploadHandler"


@register()
def only_our_handler(**_: Any) -> list[CheckMessage]:
    if settings.FILE_UPLOAD_HANDLERS == [HANDLER]:
        return []
    return [
        Error(
            "FILE_UPLOAD_HANDLERS must be our handler alone.",
            hint="Django's own handlers put anonymous bytes on the disk before any view has run.",
            id="uploads.E001",
        )
    ]


@register()
def anonymous_files(**_: Any) -> list[CheckMessage]:
    place = sink()
    if not isinstance(place, LocalSink) or not limits().media_root.is_dir() or place.has_anonymous_files():
        return []
    return [
        Warning(
            f"The filesystem of {limits().media_root} has no anonymous files (O_TMPFILE).",
            hint="Uploads work; what a crash cuts off stays as a file until housekeeping removes it.",
            id="uploads.W001",
        )
    ]
