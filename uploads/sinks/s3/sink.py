"""The Sink in an S3 bucket."""

import time
import uuid
from collections.abc import Collection, Iterator
from typing import BinaryIO, cast

from ..base import SinkError, Stored, Writer
from ..direct import DirectSink
from ..download_urls import DownloadSink
from .bucket import CONTENT, MARKER, PROBE, Bucket
from .direct import S3DirectWrites
from .download_urls import CdnUrls, PresignedUrls
from .quarantine import S3Quarantine
from .reader import S3Reader
from .sidecars import S3Sidecars
from .writer import S3Writer

_RECENT = 10.0  # seconds
_NEVER: tuple[str | None, float] = (None, -_RECENT)


class S3Sink(DownloadSink, DirectSink):
    is_remote = True

    def __init__(self, bucket: Bucket, name: str, cdn: CdnUrls | None = None) -> None:
        self.bucket, self.name = bucket, name
        self.presigned, self.cdn = PresignedUrls(bucket), cdn
        self._recent = _NEVER  # the marker, and when it was read
        self.sidecars, self.quarantine = S3Sidecars(bucket), S3Quarantine(bucket)
        self.direct = S3DirectWrites(bucket)

    def create(self, key: str, *, size: int | None = None) -> Writer:
        return S3Writer(self.bucket, key, size)

    def open(self, key: str, start: int = 0, end: int | None = None) -> BinaryIO:
        return cast(BinaryIO, S3Reader(self.bucket, self.bucket.content(key), start, end))

    def size(self, key: str) -> int | None:
        return self.bucket.size(CONTENT + key)

    def etag(self, key: str) -> str:
        return self.bucket.head(CONTENT + key)["ETag"]

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        listed = self.bucket.list_some(CONTENT, keys)
        found = {each["Key"].removeprefix(self.bucket.object(CONTENT)): each["Size"] for each in listed}
        return {key: found[key] for key in keys if key in found}

    def delete(self, key: str) -> None:
        self.bucket.delete(CONTENT + key)

    def walk(self) -> Iterator[Stored]:
        for found in self.bucket.list(CONTENT):
            yield Stored(found["Key"].removeprefix(self.bucket.object(CONTENT)), found["Size"], found["LastModified"])

    def free(self) -> int | None:
        return None

    def identity(self) -> str | None:
        try:
            found = self.bucket.get(MARKER).decode().strip()
        except SinkError:
            return None
        self._recent = (found, time.monotonic())
        return found

    def recent_identity(self) -> str | None:
        identity, at = self._recent
        return identity if time.monotonic() - at < _RECENT else self.identity()

    def set_identity(self, identity: str) -> None:
        self.bucket.put(MARKER, f"{identity}\n".encode())
        self._recent = _NEVER

    def check_access(self) -> None:
        probe = f"{PROBE}{uuid.uuid4()}"
        next(self.bucket.list(CONTENT), None)
        self.bucket.put(probe, b"")
        self.bucket.get(probe)
        self.bucket.delete(probe)
