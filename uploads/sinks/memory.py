"""A Sink in memory for tests. It passes the same contract test as the other sinks."""

import io
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from .base import (
    KeyLocked,
    NoSuchKey,
    Quarantine,
    Quarantined,
    Sidecars,
    SinkError,
    SinkFull,
    Stored,
    Writer,
    sidecar_is_of,
)
from .crash_points import Step, reached
from .resumable import ResumableSink, ResumableWriter


class MemoryWriter(Writer):
    def __init__(self, sink: "MemorySink", key: str, buffer: bytearray) -> None:
        self._sink, self._buffer = sink, buffer
        self._open = True
        self.key, self.offset = key, len(buffer)

    def write(self, data: bytes | memoryview) -> None:
        self._sink.require_space(len(data))
        self._buffer += data
        self.offset += len(data)

    def commit(self) -> None:
        if not self._open:
            return
        self._open = False
        reached(Step.SYNCED)
        with self._sink.lock:
            self._forget()
            self._sink.committed[self.key] = (bytes(self._buffer), datetime.now(UTC))
        reached(Step.LINKED)
        reached(Step.DIRECTORY_SYNCED)

    def abort(self) -> None:
        if self._open:
            self._open = False
            with self._sink.lock:
                self._forget()

    def close(self) -> None:
        self.abort()

    def _forget(self) -> None:
        self._sink.forget_partial(self.key)
        self._sink.locked.pop(self.key, None)


class ResumableMemoryWriter(MemoryWriter, ResumableWriter):
    def flush(self) -> None:
        """No-op: memory is the medium."""

    def truncate(self, offset: int) -> None:
        del self._buffer[offset:]
        self.offset = len(self._buffer)

    def save_checkpoint(self, text: str) -> None:
        if self._open:
            self._sink.checkpoints[self.key] = text

    def wants_checkpoint(self, size: int) -> bool:
        return False

    def close(self) -> None:
        if self._open:
            self._open = False
            self._sink.locked.pop(self.key, None)


class MemorySidecars(Sidecars):
    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def write(self, name: str, content: bytes) -> None:
        self._kept[name] = content

    def read(self, name: str) -> bytes:
        try:
            return self._kept[name]
        except KeyError:
            raise NoSuchKey(name) from None

    def delete(self, name: str) -> None:
        self._kept.pop(name, None)

    def of(self, keys: Collection[str]) -> set[str]:
        return {name for name in self._kept if sidecar_is_of(name, keys)}

    def names(self) -> Iterator[str]:
        yield from list(self._kept)


class MemoryQuarantine(Quarantine):
    def __init__(self, sink: "MemorySink") -> None:
        self._sink = sink
        self._kept: dict[Quarantined, bytes] = {}

    def put(self, key: str, reason: str) -> None:
        with self._sink.lock:
            places = (self._sink.committed.pop(key, None), self._sink.partial.pop(key, None))
            self._sink.checkpoints.pop(key, None)
        for partial, found in zip((False, True), places, strict=True):
            if found is not None:
                since = datetime.now(UTC).replace(microsecond=0)
                self._kept[Quarantined(key, len(found[0]), reason, since, partial)] = bytes(found[0])

    def entries(self) -> Iterator[Quarantined]:
        yield from list(self._kept)

    def take_back(self, found: Quarantined) -> None:
        if found not in self._kept:
            raise NoSuchKey(found.key)
        with self._sink.lock:
            if found.key in (self._sink.partial if found.partial else self._sink.committed):
                raise SinkError(f"The key {found.key} is in use.")
            data = self._kept.pop(found)
            if found.partial:
                self._sink.partial[found.key] = (bytearray(data), datetime.now(UTC))
            else:
                self._sink.committed[found.key] = (data, datetime.now(UTC))

    def purge(self, found: Quarantined) -> None:
        self._kept.pop(found, None)


class MemorySink(ResumableSink):
    name = "memory"

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.lock = threading.Lock()
        self.committed: dict[str, tuple[bytes, datetime]] = {}
        self.partial: dict[str, tuple[bytearray, datetime]] = {}
        self.locked: dict[str, bytearray] = {}  # by key: the buffer of its Writer
        self.checkpoints: dict[str, str] = {}
        self._identity: str | None = None
        self.sidecars, self.quarantine = MemorySidecars(), MemoryQuarantine(self)

    def create(self, key: str, *, size: int | None = None) -> Writer:
        with self.lock:
            return MemoryWriter(self, key, self._lock_key(key, bytearray()))

    def create_resumable(self, key: str, *, size: int | None = None) -> ResumableWriter:
        with self.lock:
            buffer = self._lock_key(key, bytearray())
            self.partial[key] = (buffer, datetime.now(UTC))
            return ResumableMemoryWriter(self, key, buffer)

    def resume(self, key: str) -> ResumableWriter:
        with self.lock:
            if key not in self.partial:
                raise NoSuchKey(key)
            return ResumableMemoryWriter(self, key, self._lock_key(key, self.partial[key][0]))

    def _lock_key(self, key: str, buffer: bytearray) -> bytearray:
        if key in self.locked:
            raise KeyLocked(key)
        self.locked[key] = buffer
        return buffer

    def offset(self, key: str) -> int:
        try:
            return len(self.partial[key][0])
        except KeyError:
            raise NoSuchKey(key) from None

    def read_checkpoint(self, key: str) -> str:
        return self.checkpoints.get(key, "")

    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        if key not in self.partial:
            raise NoSuchKey(key)
        return io.BytesIO(bytes(self.partial[key][0][start:]))

    def forget_partial(self, key: str) -> None:
        self.partial.pop(key, None)
        self.checkpoints.pop(key, None)

    def open(self, key: str, start: int = 0, end: int | None = None) -> BinaryIO:
        try:
            reader = io.BytesIO(self.committed[key][0])
        except KeyError:
            raise NoSuchKey(key) from None
        reader.seek(start)
        return reader

    def size(self, key: str) -> int | None:
        return len(self.committed[key][0]) if key in self.committed else None

    def delete(self, key: str) -> None:
        with self.lock:
            self.committed.pop(key, None)
            self.forget_partial(key)

    def walk(self) -> Iterator[Stored]:
        with self.lock:
            found = [Stored(key, len(data), at) for key, (data, at) in self.committed.items()]
            found += [Stored(key, len(data), at, partial=True) for key, (data, at) in self.partial.items()]
        yield from found

    def require_space(self, size: int) -> None:
        free = self.free()
        if free is not None and size > free:
            raise SinkFull

    def free(self) -> int | None:
        if self.capacity is None:
            return None
        with self.lock:
            one_shot = sum(len(buffer) for key, buffer in self.locked.items() if key not in self.partial)
        return self.capacity - one_shot - sum(stored.size for stored in self.walk())

    def identity(self) -> str | None:
        return self._identity

    def set_identity(self, identity: str) -> None:
        self._identity = identity
