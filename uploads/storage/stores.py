"""Which stores are configured: the one for new bytes, and those that still have earlier ones.

The store for new bytes is the entry "millrace" of Django's STORAGES: django-storages' S3Storage, or Django's
FileSystemStorage, whose folder is `Limits.media_root`.
"""

from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages

from ..conf import limits
from ..errors import UnsupportedRequest
from ..sinks.base import Sink, SinkError
from ..sinks.local.sink import LocalSink
from ..sinks.resumable import ResumableSink

_ALIAS = "millrace"


def sink() -> Sink:
    """The store that new bytes go to."""
    storage = _storage()
    if storage is None or isinstance(storage, FileSystemStorage):
        return _local_sink(limits().media_root, limits().media_group)
    return _s3_sink(storage)


def sinks() -> tuple[Sink, ...]:
    """All stores, the one for new bytes first."""
    return sink(), *limits().other_sinks


def sink_named(name: str) -> Sink:
    """The store that a row names: the only way to bytes that exist. Raises SinkError if it is not configured."""
    for found in sinks():
        if found.name == name:
            return found
    raise SinkError(f"The store “{name}” is not configured.")


def resumable_sink() -> ResumableSink:
    """The store that the bytes of resumable uploads go to."""
    found = sink()
    if not isinstance(found, ResumableSink):
        raise UnsupportedRequest("This server takes no resumable uploads. Send the file in one request.")
    return found


def _storage() -> Any:
    """The backend of the entry "millrace". None if there is no entry: a project that embeds Millrace needs none."""
    try:
        return storages[_ALIAS]
    except InvalidStorageError:
        return None


@cache
def _s3_sink(storage: Any) -> Sink:
    """Only now, as the AWS SDK takes a third of a second to import."""
    from storages.backends.s3 import S3Storage

    from ..sinks.s3.bucket import Bucket
    from ..sinks.s3.client import client_of
    from ..sinks.s3.sink import S3Sink

    if not isinstance(storage, S3Storage):
        raise ImproperlyConfigured(
            f'STORAGES["{_ALIAS}"] must be a FileSystemStorage or an S3Storage, not {type(storage).__name__}.'
        )
    prefix = f"{storage.location.strip('/')}/" if storage.location.strip("/") else ""
    bucket = Bucket(client_of(storage), storage.bucket_name, prefix)
    return S3Sink(bucket, f"s3://{storage.bucket_name}/{prefix}".rstrip("/"))


@cache
def _local_sink(root: Path, readers: int | None) -> Sink:
    return LocalSink(root, readers)
