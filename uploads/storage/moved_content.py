"""Read content that `move-storage` moves to another store meanwhile.

The old bytes stay for an hour, or longer. But a row may be kept in memory for longer, and a long download from S3 may
have to connect again. What is not there any more is then read where it is now.
"""

import io
from typing import Any, BinaryIO, cast

from ..models import Blob
from ..runtime.database_connections import release_connection
from ..sinks.base import SinkError
from ..sinks.local.sink import LocalSink
from .stores import sink_named


def where_now(blob: Blob) -> Blob | None:
    """Return the present row of this content. None if it has not been moved since this one was read."""
    equal = Blob.objects.filter(sha256=blob.sha256, size=blob.size, state=Blob.State.STORED)
    found = Blob.objects.filter(pk=blob.pk).first() or equal.first()  # it was merged into an equal one
    release_connection()
    return found if found and (found.sink, found.key) != (blob.sink, blob.key) else None


def open_wherever(blob: Blob, start: int, end: int | None) -> BinaryIO:
    """Read the bytes of a Blob, even if they have been moved since its row was read. Raises SinkError."""
    try:
        place = sink_named(blob.sink)
        if isinstance(place, LocalSink):
            return place.open(blob.key, start, end)  # an open file can be read to its end, even if it is deleted
        return cast(BinaryIO, _FollowingReader(blob, start, end))
    except SinkError:
        if (moved := where_now(blob)) is None:
            raise
        return open_wherever(moved, start, end)


class _FollowingReader(io.RawIOBase):
    def __init__(self, blob: Blob, start: int, end: int | None) -> None:
        self._blob, self._at, self._end = blob, start, end
        self._reader = sink_named(blob.sink).open(blob.key, start, end)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        try:
            count = self._read(buffer)
        except SinkError:
            if (moved := where_now(self._blob)) is None:
                raise
            self._reader.close()
            self._blob, self._reader = moved, open_wherever(moved, self._at, self._end)
            count = self._read(buffer)
        self._at += count
        return count

    def _read(self, buffer: Any) -> int:
        count: int = self._reader.readinto(buffer)  # type: ignore[attr-defined]  # readers of all stores have it
        return count

    def close(self) -> None:
        self._reader.close()
        super().close()
