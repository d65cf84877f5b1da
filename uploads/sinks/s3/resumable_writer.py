"""Write a stream that a later request, perhaps on another host, can continue.

Its parts outlive the Writer. Bytes that are too few for a part are kept in an object of their own, the tail
(`PREFIX/partial/KEY.…`); the next Writer fetches it before it writes. The record of the write says what counts:
`flush` changes it as a whole, and so does `save_checkpoint` with enough bytes for a part. All bytes after that are
lost with the Writer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from ..base import SinkError
from ..crash_points import Step, reached
from ..resumable import ResumableWriter
from .bucket import CONTENT, PARTIAL, Bucket
from .multipart import Multipart
from .open_writes import HeldWrite, LockLost, OpenWriteRecord
from .parts import part_size, smallest_part
from .reader import S3Reader
from .writer import PartWriter

_PIECE = 256 * 1024


class ResumableS3Writer(PartWriter, ResumableWriter):
    flushes_atomically = True

    def __init__(self, bucket: Bucket, held: HeldWrite, made_size: int | None) -> None:
        """`made_size`: that of the object, if an earlier holder made it."""
        record = held.record
        super().__init__(bucket, record.key, record.size)
        self._held, self._checkpoint, self._made_size = held, record.checkpoint, made_size
        self._has_made_object = False  # this Writer, not an earlier one, whose object may be that of a file
        self.offset = self._kept()
        if record.multipart_id:
            self._multipart = Multipart(bucket, bucket.content(record.key), record.multipart_id)
        self._lacks_tail = bool(record.tail)  # in the buffer
        self._failure: SinkError | None = None

    @property
    def readable_from(self) -> int:
        return self._held.record.parts_size if self._made_size is None else 0

    def call_when_lost(self, callback: Callable[[], None]) -> None:
        self._held.when_lost = callback

    def write(self, data: bytes | memoryview) -> None:
        with self._remember_failure():
            self._held.require_held()
            self._fetch_tail()
            super().write(data)

    def wants_checkpoint(self, size: int) -> bool:
        # Before the buffer is full: bytes become a part only together with a checkpoint.
        return self._buffer.size + size > self._part_size()

    def save_checkpoint(self, text: str) -> None:
        if not self._takes_bytes():
            return
        with self._remember_failure():
            self._checkpoint = text
            if self._buffer.size >= smallest_part(self._part_size()):
                self._send_part()
                self._save("", 0)

    def flush(self) -> None:
        if not self._takes_bytes():
            return
        record = self._held.record
        with self._remember_failure():
            if self.offset != record.offset:
                self._save(self._write_tail(), self._buffer.size)
            elif self._checkpoint != record.checkpoint:
                self._save(record.tail, record.tail_size)

    def truncate(self, offset: int) -> None:
        record = self._held.record
        if offset >= self.offset:
            return
        with self._remember_failure():
            if offset >= record.parts_size:
                self._held.save((), record.tail, offset - record.parts_size, record.checkpoint)
            else:
                self._held.drop_parts()
                self._lacks_tail = False
        self.offset = self._held.record.offset

    def make_readable(self) -> None:
        """Make the object. Nothing names its key yet: for users it does not exist before the commit."""
        if not self._takes_bytes():
            return
        with self._remember_failure():
            self._fetch_tail()
            self._send_rest()
            self._held.seal()
            reached(Step.SYNCED)
            self._make_object([*self._held.parts(), *self._parts])
        self._made_size, self._has_made_object = self.offset, True

    def commit(self) -> None:
        if not self._is_open:
            return
        if self._failure is not None:
            raise self._failure
        self.make_readable()
        self._close()
        with suppress(SinkError):  # the object is there; `resume` or the sweep deletes what is left
            self._held.end()
            delete_tails(self._bucket, self.key)

    def abort(self) -> None:
        if not self._is_open:
            return
        self._held.end()  # first: another holder's parts must not be deleted
        self._close()
        discard(self._bucket, self._held.record)
        if self._has_made_object:
            self._bucket.delete(CONTENT + self.key)

    def close(self) -> None:
        if not self._is_open:
            return
        self._close()
        self.offset = self._kept()
        self._held.release()

    def _takes_bytes(self) -> bool:
        return self._is_open and self._failure is None and self._made_size is None

    def _kept(self) -> int:
        """How many bytes count."""
        return self._held.record.offset if self._made_size is None else self._made_size

    def _part_size(self) -> int:
        return part_size(self._size, self._held.record.last_part, is_resumable=True)

    def _next_number(self) -> int:
        return self._held.next_part()

    def _record_multipart(self, multipart_id: str) -> None:
        self._held.begin_multipart(multipart_id)

    def _fetch_tail(self) -> None:
        if self._lacks_tail:
            record = self._held.record
            with S3Reader(
                self._bucket, tail_name(self._bucket, self.key, record.tail), 0, record.tail_size
            ) as reader:
                while piece := reader.read(_PIECE):
                    self._buffer.take(memoryview(piece), record.tail_size)
            self._lacks_tail = False

    def _write_tail(self) -> str:
        """Keep the bytes of the buffer in a new object. Its name is new: a holder that froze cannot replace it."""
        if not self._buffer.size:
            return ""
        tail = uuid4().hex
        self._bucket.put(_tail_place(self.key, tail), self._buffer.content())
        return tail

    def _save(self, tail: str, tail_size: int) -> None:
        earlier = self._held.record.tail
        try:
            self._held.save(self._parts, tail, tail_size, self._checkpoint)
        except LockLost:
            self._delete_tail(tail)
            raise
        reached(Step.PARTS_RECORDED)
        self._parts.clear()
        if earlier != tail:
            self._delete_tail(earlier)

    def _delete_tail(self, tail: str) -> None:
        """A tail that cannot be deleted now is deleted with the write."""
        if tail:
            with suppress(SinkError):
                self._bucket.delete(_tail_place(self.key, tail))

    @contextmanager
    def _remember_failure(self) -> Iterator[None]:
        """After a failure the Writer takes nothing more: what was sent since the last flush does not count."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except SinkError as error:
            self._failure = error
            raise


def tail_name(bucket: Bucket, key: str, tail: str) -> str:
    """The name of the object in which the end of an open write is kept."""
    return bucket.object(_tail_place(key, tail))


def _tail_place(key: str, tail: str) -> str:
    return f"{PARTIAL}{key}.{tail}"


def discard(bucket: Bucket, record: OpenWriteRecord) -> None:
    """Delete the bytes of an open write, after its record."""
    if record.multipart_id:
        Multipart(bucket, bucket.content(record.key), record.multipart_id).abort()
    if record.is_resumable:
        delete_tails(bucket, record.key)


def delete_tails(bucket: Bucket, key: str) -> None:
    """Delete all tails of a write: the one that counts, and those that killed processes left."""
    for found in bucket.list(_tail_place(key, "")):
        bucket.delete(found["Key"].removeprefix(bucket.prefix))
