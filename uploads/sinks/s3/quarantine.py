"""The quarantine of an S3 store: objects `PREFIX/quarantine/DATE.REASON.KEY`. The store copies the bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime

from ..base import NoSuchKey, Quarantine, Quarantined, SinkError
from .bucket import CONTENT, QUARANTINE, Bucket
from .retries import repeat


class S3Quarantine(Quarantine):
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put(self, key: str, reason: str) -> None:
        size = self._bucket.size(CONTENT + key)
        if size is not None:
            self._move(CONTENT + key, QUARANTINE + Quarantined(key, size, reason, datetime.now(UTC)).name)

    def entries(self) -> Iterator[Quarantined]:
        for found in self._bucket.list(QUARANTINE):
            name = found["Key"].removeprefix(self._bucket.object(QUARANTINE))
            if entry := Quarantined.parse(name, found["Size"]):
                yield entry

    def take_back(self, found: Quarantined) -> None:
        if self._bucket.size(QUARANTINE + found.name) is None:
            raise NoSuchKey(found.key)
        if self._bucket.size(CONTENT + found.key) is not None:
            raise SinkError(f"The key {found.key} is in use.")
        self._move(QUARANTINE + found.name, CONTENT + found.key)

    def purge(self, found: Quarantined) -> None:
        self._bucket.delete(QUARANTINE + found.name)

    def _move(self, source: str, target: str) -> None:
        bucket = self._bucket
        # The client's `copy` also copies objects above 5 GB, in parts.
        repeat(
            lambda: bucket.client.copy(
                {"Bucket": bucket.name, "Key": bucket.object(source)}, bucket.name, bucket.object(target)
            )
        )
        bucket.delete(source)
