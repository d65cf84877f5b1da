"""Which stores are configured: the one for new bytes, and those that still have earlier ones.

They are entries of Django's STORAGES: "millrace" takes new bytes; those whose names begin with "millrace-" still have
earlier bytes. Each is django-storages' S3Storage, or Django's FileSystemStorage, whose folder is `Limits.media_root`.
"""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, storages

from ..conf import limits
from ..errors import NoDirectUploads, NoResumableUploads
from ..sinks.base import Sink, SinkError
from ..sinks.direct import DirectSink
from ..sinks.local.sink import LocalSink
from ..sinks.resumable import ResumableSink

_NEW, _EARLIER = "millrace", "millrace-"


def sink() -> Sink:
    """The store that new bytes go to."""
    # A project that embeds Millrace needs no entry.
    return _sink_of(_NEW) if _NEW in storages.backends else _local_sink(limits().media_root, limits().media_group)


def sinks() -> tuple[Sink, ...]:
    """All stores, the one for new bytes first."""
    earlier = sorted(alias for alias in storages.backends if alias.startswith(_EARLIER))
    found = (sink(), *map(_sink_of, earlier))
    name, times = Counter(place.name for place in found).most_common(1)[0]
    if times > 1:
        raise ImproperlyConfigured(
            f"The store “{name}” is configured {times} times. MILLRACE_STORAGE and MILLRACE_OTHER_STORAGE, or the "
            f'entries of STORAGES whose names begin with "{_NEW}", must be different stores.'
        )
    return found


def sink_named(name: str) -> Sink:
    """The store that a row names: the only way to bytes that exist. Raises SinkError if it is not configured."""
    for found in sinks():
        if found.name == name:
            return found
    raise SinkError(f"The store “{name}” is not configured.")


def resumable_sink(name: str | None = None) -> ResumableSink:
    """The store that the bytes of resumable uploads go to, or the one with this name."""
    found = sink() if name is None else sink_named(name)
    if not isinstance(found, ResumableSink):
        raise NoResumableUploads("This server takes no resumable uploads. Send the file in one request.")
    return found


def takes_direct_uploads() -> bool:
    """Whether clients may send the bytes of new uploads straight to the store."""
    return limits().direct_uploads and isinstance(sink(), DirectSink)


def upload_origins() -> list[str]:
    """The origins that pages of ours send parts to."""
    return [direct_sink().direct.origin] if takes_direct_uploads() else []


def direct_sink() -> DirectSink:
    """The store that clients send the bytes of new direct uploads to."""
    found = sink()
    if not limits().direct_uploads or not isinstance(found, DirectSink):
        raise NoDirectUploads("This server takes no direct uploads. Send the file as a form, by PUT or by tus.")
    return found


def direct_sink_named(name: str) -> DirectSink:
    """The store of a direct upload that exists, even if no new ones are taken. Raises SinkError."""
    found = sink_named(name)
    if not isinstance(found, DirectSink):
        raise SinkError(f"The store “{name}” takes no direct uploads.")
    return found


def _sink_of(alias: str) -> Sink:
    storage = storages[alias]
    if isinstance(storage, FileSystemStorage):
        return _local_sink(limits().media_root, limits().media_group)
    return _s3_sink(storage, alias)


@cache
def _s3_sink(storage: Any, alias: str) -> Sink:
    """The AWS SDK is imported here, where it is needed: it takes a third of a second."""
    from storages.backends.s3 import S3Storage

    from ..sinks.s3.bucket import Bucket
    from ..sinks.s3.client import client_of, public_client_of
    from ..sinks.s3.download_urls import CdnUrls
    from ..sinks.s3.sink import S3Sink
    from .open_writes import OpenWriteRows

    if not isinstance(storage, S3Storage):
        raise ImproperlyConfigured(
            f'STORAGES["{alias}"] must be a FileSystemStorage or an S3Storage, not {type(storage).__name__}.'
        )
    prefix = f"{storage.location.strip('/')}/" if storage.location.strip("/") else ""
    public_url = limits().storage_public_url
    public_client = public_client_of(storage, public_url) if public_url else None
    bucket = Bucket(client_of(storage), storage.bucket_name, prefix, public_client)
    cdn = CdnUrls(storage, bucket) if storage.custom_domain else None
    name = f"s3://{storage.bucket_name}/{prefix}".rstrip("/")
    return S3Sink(bucket, name, OpenWriteRows(name), cdn)


@cache
def _local_sink(root: Path, readers: int | None) -> Sink:
    return LocalSink(root, readers)
