"""System checks of this app, for `manage.py check`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from .conf import limits
from .monitoring import scanner_health
from .sinks.local.sink import LocalSink
from .storage.stores import sink, sinks

HANDLER = "uploads.http.upload_handler.StreamingUploadHandler"


@register()
def only_our_handler(**_: Any) -> list[CheckMessage]:
    if settings.FILE_UPLOAD_HANDLERS == [HANDLER]:
        return []
    return [
        Error(
            f'FILE_UPLOAD_HANDLERS must be exactly ["{HANDLER}"].',
            hint="Django's own handlers write the bodies of anonymous requests to the disk before any view runs.",
            id="uploads.E001",
        )
    ]


@register()
def each_store_once(**_: Any) -> list[CheckMessage]:
    try:
        sinks()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="uploads.E002")]
    return []


@register()
def anonymous_files(**_: Any) -> list[CheckMessage]:
    place = sink()
    if not isinstance(place, LocalSink) or not limits().media_root.is_dir() or place.has_anonymous_files():
        return []
    return [
        Warning(
            f"The filesystem of {limits().media_root} does not support anonymous files (O_TMPFILE).",
            hint="Uploads work, but a crash leaves partial files behind until housekeeping removes them.",
            id="uploads.W001",
        )
    ]


@register()
def virus_scanner(**_: Any) -> list[CheckMessage]:
    if not (problem := scanner_health.problem()):
        return []
    return [
        Warning(
            f"The virus scanner does not answer: {problem}",
            hint="Every upload is refused until it does. Start clamd, or correct MILLRACE_CLAMD.",
            id="uploads.W002",
        )
    ]
