"""Read a range of an object as a file. A connection that breaks is opened again where the bytes ended."""

import io
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from ..base import SinkError
from .bucket import Bucket
from .retries import repeat

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_TRIES = 5  # for bytes that do not arrive, one after the other


class S3Reader(io.RawIOBase):
    def __init__(self, bucket: Bucket, name: str, start: int, end: int | None) -> None:
        self._bucket, self._name = bucket, name
        self._at, self._end = start, end  # end: None until the first answer tells it
        self._body: StreamingBody | None = None
        self._open()

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        for _ in range(_TRIES):
            if self._end is not None and self._at >= self._end:
                return 0
            try:
                if self._body is None:
                    self._open()
                assert self._body is not None
                data = self._body.read(len(buffer))
            except (BotoCoreError, HTTPError, OSError):
                data = b""
            if data:
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            self._drop()  # it ended too early
        raise SinkError("The object store breaks off its answers.")

    def _open(self) -> None:
        """Request the rest of the range."""
        head = repeat(lambda: self._bucket.client.head_object(Bucket=self._bucket.name, Key=self._name))
        size = head["ContentLength"]
        self._end = size if self._end is None else min(self._end, size)
        if self._at < self._end:
            wanted = f"bytes={self._at}-{self._end - 1}"
            found = repeat(
                lambda: self._bucket.client.get_object(Bucket=self._bucket.name, Key=self._name, Range=wanted)
            )
            self._body = found["Body"]

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None

    def close(self) -> None:
        self._drop()
        super().close()
