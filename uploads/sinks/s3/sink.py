"""The Sink in an S3 bucket."""

import io
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import BinaryIO, cast

from ..base import Fragment, NoSuchKey, SinkError, Stored, Writer
from ..direct import DirectSink
from ..download_urls import DownloadSink
from ..resumable import ResumableSink, ResumableWriter
from . import leftovers
from .bucket import CONTENT, MARKER, PROBE, Bucket
from .direct import S3DirectWrites
from .download_urls import CdnUrls, PresignedUrls
from .open_writes import OpenWriteRecord, OpenWrites
from .quarantine import S3Quarantine
from .reader import S3Reader
from .resumable_writer import ResumableS3Writer, discard, tail_name
from .sidecars import S3Sidecars
from .writer import S3Writer

_RECENT = 10.0  # seconds
_NEVER: tuple[str | None, float] = (None, -_RECENT)


class S3Sink(ResumableSink, DownloadSink, DirectSink):
    is_remote = True
    reads_open_writes = False

    def __init__(self, bucket: Bucket, name: str, open_writes: OpenWrites, cdn: CdnUrls | None = None) -> None:
        self.bucket, self.name, self._open_writes = bucket, name, open_writes
        self.presigned, self.cdn = PresignedUrls(bucket), cdn
        self._recent = _NEVER  # the marker, and when it was read
        self.sidecars, self.quarantine = S3Sidecars(bucket), S3Quarantine(bucket, self._delete_open_write)
        self.direct = S3DirectWrites(bucket)

    def create(self, key: str, *, size: int | None = None) -> Writer:
        return S3Writer(self.bucket, self._open_writes, key, size)

    def create_resumable(self, key: str, *, size: int | None = None) -> ResumableWriter:
        return ResumableS3Writer(self.bucket, self._open_writes.begin(key, size=size, is_resumable=True), None)

    def resume(self, key: str) -> ResumableWriter:
        held = self._open_writes.take(key)
        try:
            return ResumableS3Writer(self.bucket, held, self._made_size(held.record))
        except BaseException:
            with suppress(SinkError):
                held.release()
            raise

    def _made_size(self, record: OpenWriteRecord) -> int | None:
        """The size of the object, if an earlier holder made it, and then died or did not hear the answer."""
        return self.size(record.key) if record.is_sealed else None

    def offset(self, key: str) -> int:
        record = self._resumable(key)
        made = self._made_size(record)
        return record.offset if made is None else made

    def read_checkpoint(self, key: str) -> str:
        try:
            return self._resumable(key).checkpoint
        except NoSuchKey:
            return ""

    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        record = self._resumable(key)
        if self._made_size(record) is not None:
            return self.open(key, start)
        if start < record.parts_size:
            raise SinkError("The parts of an open multipart upload cannot be read.")
        if not record.tail:
            return io.BytesIO()
        name = tail_name(self.bucket, key, record.tail)
        return cast(BinaryIO, S3Reader(self.bucket, name, start - record.parts_size, record.tail_size))

    def _resumable(self, key: str) -> OpenWriteRecord:
        record = self._open_writes.find(key)
        if record is None or not record.is_resumable:
            raise NoSuchKey(key)
        return record

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
        self._delete_open_write(key)

    def _delete_open_write(self, key: str) -> None:
        if record := self._open_writes.remove(key):
            discard(self.bucket, record)

    def walk(self) -> Iterator[Stored]:
        for found in self.bucket.list(CONTENT):
            yield Stored(found["Key"].removeprefix(self.bucket.object(CONTENT)), found["Size"], found["LastModified"])
        for record in self._open_writes.resumable():
            yield Stored(record.key, record.offset, record.created_at, partial=True)

    def abort_abandoned(self) -> int:
        aborted = 0
        for record in list(self._open_writes.abandoned()):
            # The record last: after a crash in between, it says what is left. The holder, if it lives, cannot
            # complete an aborted upload.
            discard(self.bucket, record)
            self._open_writes.remove(record.key)
            aborted += 1
        return aborted

    def fragments(self) -> Iterator[Fragment]:
        return leftovers.fragments(self.bucket)

    def is_empty_fragment(self, found: Fragment) -> bool:
        return leftovers.is_empty(self.bucket, found)

    def delete_fragment(self, found: Fragment) -> None:
        leftovers.delete(self.bucket, found)

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
