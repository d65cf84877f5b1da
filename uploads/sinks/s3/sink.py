"""The Sink in an S3 bucket."""

from collections.abc import Iterator
from typing import BinaryIO, cast

from ..base import NoSuchKey, SinkError, Stored, Writer
from ..direct import DirectSink
from ..download_urls import DownloadSink
from .bucket import CONTENT, MARKER, Bucket
from .direct import S3DirectWrites
from .download_urls import CdnUrls, PresignedUrls
from .quarantine import S3Quarantine
from .reader import S3Reader
from .sidecars import S3Sidecars
from .writer import S3Writer


class S3Sink(DownloadSink, DirectSink):
    def __init__(self, bucket: Bucket, name: str, cdn: CdnUrls | None = None) -> None:
        self.bucket, self.name = bucket, name
        self.presigned, self.cdn = PresignedUrls(bucket), cdn
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

    def delete(self, key: str) -> None:
        self.bucket.delete(CONTENT + key)

    def walk(self) -> Iterator[Stored]:
        for found in self.bucket.list(CONTENT):
            yield Stored(found["Key"].removeprefix(self.bucket.object(CONTENT)), found["Size"], found["LastModified"])

    def free(self) -> int | None:
        return None

    def identity(self) -> str | None:
        try:
            return self.bucket.get(MARKER).decode().strip()
        except (NoSuchKey, SinkError):
            return None

    def set_identity(self, identity: str) -> None:
        self.bucket.put(MARKER, f"{identity}\n".encode())
