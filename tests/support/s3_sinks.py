"""S3 sinks for tests that write without a server of Millrace's."""

import uuid
from dataclasses import replace
from functools import cache

from storages.backends.s3 import S3Storage

from tests.support.object_store import ObjectStore
from uploads.models import OpenWrite
from uploads.sinks.s3.bucket import Bucket
from uploads.sinks.s3.client import client_of
from uploads.sinks.s3.sink import S3Sink
from uploads.storage.open_writes import OpenWriteRows

_BUCKET = "sinks"


def make_s3_sink(store: ObjectStore, url: str = "", prefix: str = "") -> S3Sink:
    """A sink with a prefix of its own. `url`: where it reaches the store, if not directly."""
    prefix = prefix or f"{uuid.uuid4().hex}/"
    name = f"s3://{_BUCKET}/{prefix}".rstrip("/")
    return S3Sink(replace(_bucket(store, url or store.url), prefix=prefix), name, OpenWriteRows(name))


@cache
def _bucket(store: ObjectStore, url: str) -> Bucket:
    """One for all: a client takes a fifth of a second, and a new bucket half a second."""
    options = store.storage(store.make_bucket(_BUCKET))["OPTIONS"] | {"endpoint_url": url}
    return Bucket(client_of(S3Storage(**options)), _BUCKET, "")


def objects(sink: S3Sink) -> dict[str, int]:
    """The sizes of all objects of a sink, by their names below its prefix."""
    return {found["Key"].removeprefix(sink.bucket.prefix): found["Size"] for found in sink.bucket.list("")}


def multiparts(sink: S3Sink) -> list[str]:
    """The ids of the multipart uploads that are open."""
    found = sink.bucket.client.list_multipart_uploads(Bucket=_BUCKET, Prefix=sink.bucket.prefix)
    return [upload["UploadId"] for upload in found.get("Uploads", [])]


def leftovers(sink: S3Sink) -> tuple[dict[str, int], list[str], int]:
    """What a sink has besides committed content: objects, multipart uploads and records."""
    others = {name: size for name, size in objects(sink).items() if not name.startswith("content/")}
    return others, multiparts(sink), OpenWrite.objects.filter(sink=sink.name).count()


NOTHING: tuple[dict[str, int], list[str], int] = ({}, [], 0)
