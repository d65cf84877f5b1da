"""Sinks of every kind for tests, and short words for what is done with them."""

from pathlib import Path
from typing import TypeVar

from uploads.sinks.base import Sink, Writer
from uploads.sinks.local.sink import LocalSink
from uploads.sinks.memory import MemorySink
from uploads.sinks.resumable import ResumableSink, ResumableWriter

KEY = "0b5c6c1e-0000-4000-8000-000000000001"
ANOTHER = "0b5c6c1e-0000-4000-8000-000000000002"  # in the same folder of a local disk
NOWHERE = "ffffffff-0000-4000-8000-000000000003"


class PlainLocalSink(LocalSink):
    """As on a filesystem that has no O_TMPFILE."""

    def _open_anonymous(self) -> int | None:
        return None


W = TypeVar("W", bound=Writer)
KINDS = ["memory", "local", "local without anonymous files"]


def make_sink(kind: str, root: Path) -> ResumableSink:
    if kind == "memory":
        return MemorySink()
    root.mkdir(exist_ok=True)
    return LocalSink(root) if kind == "local" else PlainLocalSink(root)


def begin(sink: ResumableSink, key: str, *, resumable: bool) -> Writer:
    return sink.create_resumable(key) if resumable else sink.create(key)


def write(writer: W, *pieces: bytes) -> W:
    for piece in pieces:
        writer.write(piece)
    return writer


def leave(writer: ResumableWriter) -> None:
    """End a Writer as a request ends: its bytes are kept for the next one."""
    writer.flush()
    writer.close()


def keep(sink: Sink, key: str, content: bytes) -> None:
    write(sink.create(key), content).commit()


def read(sink: Sink, key: str, start: int = 0) -> bytes:
    with sink.open(key, start) as reader:
        return reader.read()


def listed(sink: Sink) -> set[tuple[str, int, bool]]:
    return {(stored.key, stored.size, stored.partial) for stored in sink.walk()}
