"""System checks of this app, for `manage.py check`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from .conf import limits
from .monitoring import scanner_health
from .sinks.base import SinkError
from .sinks.download_urls import DownloadSink
from .sinks.local.sink import LocalSink
from .sinks.resumable import ResumableSink
from .storage.page_origins import refused_origins
from .storage.stores import sink, sinks, takes_direct_uploads
from .transfers.resumable.checkpoint import can_continue

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


@register()
def downloads(**_: Any) -> list[CheckMessage]:
    if limits().downloads == "proxy":
        return []
    if not isinstance(place := sink(), DownloadSink):
        message = f"MILLRACE_DOWNLOADS={limits().downloads} has no effect: new files are not in an object store."
        return [Warning(message, hint="Set MILLRACE_STORAGE to s3://BUCKET/PREFIX.", id="uploads.W007")]
    if limits().downloads == "redirect":
        return []
    if place.cdn is None:
        hint = "Set MILLRACE_CDN_URL, or the option custom_domain of the entry in STORAGES."
        return [Error("MILLRACE_DOWNLOADS=cdn needs a CDN.", hint=hint, id="uploads.E003")]
    return [] if place.cdn.expires else [_public_cdn()]


@register()
def direct_uploads(**_: Any) -> list[CheckMessage]:
    if not limits().direct_uploads or takes_direct_uploads():
        return []
    return [
        Warning(
            "MILLRACE_DIRECT_UPLOADS has no effect: new files are not in an object store.",
            hint="Set MILLRACE_STORAGE to s3://BUCKET/PREFIX.",
            id="uploads.W004",
        )
    ]


@register(deploy=True)  # not at each start: it asks the store
def pages_reach_the_bucket(**_: Any) -> list[CheckMessage]:
    try:
        refused = refused_origins() if takes_direct_uploads() else []
    except SinkError:
        return []  # it is away, or may not tell us
    return [
        Warning(
            f"The bucket's CORS rules do not let pages of {origin} send direct uploads and read their ETags.",
            hint="Run `manage.py bucket_cors`. The credentials need the permission s3:PutBucketCORS.",
            id="uploads.W005",
        )
        for origin in refused
    ]


@register()
def resumable_uploads(**_: Any) -> list[CheckMessage]:
    if not isinstance(place := sink(), ResumableSink) or can_continue(place):
        return []
    return [
        Warning(
            "Resumable uploads are refused: this Python cannot save the state of a hash, as S3 needs it.",
            hint="Use a Python that is linked with the OpenSSL library of the system.",
            id="uploads.W006",
        )
    ]


def _public_cdn() -> Warning:
    return Warning(
        "URLs of the CDN do not expire: who had a link once can download the file until it is deleted.",
        hint="Set MILLRACE_CDN_KEY_ID and MILLRACE_CDN_KEY, if the CDN is CloudFront.",
        id="uploads.W003",
    )
