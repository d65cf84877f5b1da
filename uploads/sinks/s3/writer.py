"""Write a stream as a multipart upload. One part is in memory at a time, in a buffer that is used again.

Content that fits into one part is sent as one object.
"""

from abc import abstractmethod
from contextlib import suppress

from ..base import SinkError, Writer
from ..crash_points import Step, reached
from .bucket import CONTENT, Bucket
from .multipart import Multipart
from .open_writes import HeldWrite, OpenWrites
from .parts import Part, PartBuffer, part_size


class PartWriter(Writer):
    """What all Writers of an S3 store have in common."""

    def __init__(self, bucket: Bucket, key: str, size: int | None) -> None:
        self.key, self.offset = key, 0
        self._bucket, self._size = bucket, size
        self._buffer = PartBuffer()
        self._multipart: Multipart | None = None
        self._parts: list[Part] = []  # that this Writer has sent
        self._is_open = True

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            if self._buffer.size >= self._part_size():
                self._send_part()
            taken = self._buffer.take(rest, self._part_size())
            self.offset += taken
            rest = rest[taken:]

    @abstractmethod
    def _part_size(self) -> int:
        """The size of the next part."""

    @abstractmethod
    def _next_number(self) -> int: ...

    @abstractmethod
    def _record_multipart(self, multipart_id: str) -> None:
        """Record a multipart upload that is about to get its first part."""

    def _send_part(self) -> None:
        multipart = self._multipart or self._begin_multipart()
        self._parts.append(multipart.send(self._next_number(), self._buffer.content()))
        reached(Step.PART_SENT)
        self._buffer.clear()

    def _begin_multipart(self) -> Multipart:
        made = Multipart.begin(self._bucket, self._bucket.content(self.key))
        reached(Step.MULTIPART_BEGUN)
        try:
            self._record_multipart(made.id)
        except BaseException:
            with suppress(SinkError):
                made.abort()
            raise
        self._multipart = made
        return made

    def _send_rest(self) -> None:
        """Send the last part. Content without parts is sent by `_make_object`."""
        if self._multipart is not None and self._buffer.size:
            self._send_part()

    def _make_object(self, parts: list[Part]) -> None:
        if self._multipart is not None:
            self._multipart.complete(parts)
        else:
            self._bucket.put(CONTENT + self.key, self._buffer.content())
        reached(Step.LINKED)
        reached(Step.DIRECTORY_SYNCED)

    def _close(self) -> None:
        self._is_open = False
        self._buffer.release()


class S3Writer(PartWriter):
    """A write that ends with its process. If that is killed, the sweep aborts the multipart upload."""

    def __init__(self, bucket: Bucket, open_writes: OpenWrites, key: str, size: int | None) -> None:
        super().__init__(bucket, key, size)
        self._open_writes = open_writes
        self._held: HeldWrite | None = None  # None until there is a multipart upload

    def commit(self) -> None:
        if not self._is_open:
            return
        try:
            self._send_rest()
            reached(Step.SYNCED)
            self._make_object(self._parts)
        except SinkError:
            with suppress(SinkError):
                self.abort()
            raise
        self._close()
        with suppress(SinkError):  # the object is there; the sweep deletes the record
            self._end_record()

    def abort(self) -> None:
        if not self._is_open:
            return
        self._close()
        if self._multipart is not None:
            try:
                self._multipart.abort()
            except SinkError:
                if self._held is not None:
                    self._held.release()  # the sweep aborts it
                raise
        self._end_record()

    def close(self) -> None:
        self.abort()

    def _part_size(self) -> int:
        return part_size(self._size, len(self._parts))

    def _next_number(self) -> int:
        return len(self._parts) + 1

    def _record_multipart(self, multipart_id: str) -> None:
        if self._held is None:
            self._held = self._open_writes.begin(self.key, size=self._size, is_resumable=False)
        self._held.begin_multipart(multipart_id)

    def _end_record(self) -> None:
        if self._held is not None:
            self._held.end()
