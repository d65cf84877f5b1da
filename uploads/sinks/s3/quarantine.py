"""The quarantine of an S3 store: objects `PREFIX/quarantine/DATE.REASON.KEY`. The store copies the bytes.

An object cannot be renamed: a crash between copy and deletion leaves it in both places, and the next sweep moves it
again. Nothing is ever in neither.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from ..base import NoSuchKey, Quarantine, Quarantined, SinkError
from .bucket import CONTENT, QUARANTINE, Bucket
from .retries import repeat

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

_MB = 1024**2
# Larger objects are copied in parts: a store takes 5 GB in one request, and a small copy ends before the timeout.
_COPIED_AT_ONCE = 256 * _MB


class S3Quarantine(Quarantine):
    def __init__(self, bucket: Bucket, delete_open_write: Callable[[str], None]) -> None:
        self._bucket, self._delete_open_write = bucket, delete_open_write

    def put(self, key: str, reason: str) -> None:
        # Parts cannot be moved. No upload has them any more, so nobody can continue this write.
        self._delete_open_write(key)
        size = self._bucket.size(CONTENT + key)
        if size is None:
            return
        with suppress(NoSuchKey):  # it was deleted meanwhile
            self._move(CONTENT + key, QUARANTINE + Quarantined(key, size, reason, datetime.now(UTC)).name, size)

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
        self._move(QUARANTINE + found.name, CONTENT + found.key, found.size)

    def purge(self, found: Quarantined) -> None:
        self._bucket.delete(QUARANTINE + found.name)

    def _move(self, source: str, target: str, size: int) -> None:
        bucket = self._bucket
        repeat(
            lambda: bucket.client.copy(
                {"Bucket": bucket.name, "Key": bucket.object(source)}, bucket.name, bucket.object(target),
                Config=_how_to_copy(),
            )
        )  # fmt: skip
        if bucket.size(target) != size:
            raise SinkError(f"The object store has not copied {source} as a whole. The original is still there.")
        bucket.delete(source)


@cache
def _how_to_copy() -> "TransferConfig":
    from boto3.s3.transfer import TransferConfig  # takes a moment to import, and is rarely needed

    return TransferConfig(multipart_threshold=_COPIED_AT_ONCE, multipart_chunksize=_COPIED_AT_ONCE, use_threads=False)
