"""The content of a file as a Django File, for Python code: `with file.content as content: content.read(100)`."""

import io
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.core.files import File

from ..models import MediaFile
from ..sinks.base import NoSuchKey
from ..sinks.local.sink import LocalSink
from ..sinks.seekable_reader import SeekableReader
from .moved_content import open_wherever, where_now
from .stores import sink_named

if TYPE_CHECKING:
    FileOfBytes = File[bytes]
else:
    FileOfBytes = File

_BUFFER = 32 * 1024


class StoredContent(FileOfBytes):
    """Opens itself at the first read, and again after `close`. Where the store fails, SinkError is raised."""

    def __init__(self, of: MediaFile) -> None:
        self._blob = of.blob
        self._reader: io.BufferedReader | None = None
        self.name, self.mode, self.size = of.name, "rb", of.size

    @property
    def file(self) -> io.BufferedReader:  # type: ignore[override]  # Django only reads it
        if self._reader is None:
            self._reader = io.BufferedReader(self._open_reader(), _BUFFER)
        return self._reader

    @property
    def closed(self) -> bool:
        return self._reader is None

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> "StoredContent":
        """Go to the first byte. Needed only by code that expects it of a Django File."""
        if mode not in {None, "rb"}:
            raise ValueError(f"The content of a stored file cannot be changed: open it as rb, not {mode}.")
        self.seek(0)
        return self

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _open_reader(self) -> io.RawIOBase:
        try:
            return self._seekable()
        except NoSuchKey:
            if (moved := where_now(self._blob)) is None:
                raise
            self._blob = moved
            return self._seekable()

    def _seekable(self) -> io.RawIOBase:
        found = sink_named(self._blob.sink)
        if isinstance(found, LocalSink):
            return cast(io.RawIOBase, found.open(self._blob.key))
        return SeekableReader(partial(open_wherever, self._blob), self._blob.size)

    def __getstate__(self) -> dict[str, Any]:
        """A row that is pickled into a cache takes no open reader with it."""
        return self.__dict__ | {"_reader": None}
