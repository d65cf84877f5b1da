"""Read a range of an object, with one request. After a connection broke, another request fetches the rest."""

import io
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..base import SinkError
from .bucket import Bucket
from .retries import code_of, repeat

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_PIECE = 1024**2
_TRIES = 5  # for bytes that do not arrive, one after the other


class S3Reader(io.RawIOBase):
    def __init__(self, bucket: Bucket, name: str, start: int, end: int | None) -> None:
        self._bucket, self._name = bucket, name
        self._at, self._end = start, end  # end: None until the first answer tells it
        self._body: StreamingBody | None = None
        if end is not None and start >= end:
            repeat(lambda: bucket.client.head_object(Bucket=bucket.name, Key=name))  # or raise NoSuchKey
        else:
            self._request()

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. The base class would copy each piece twice more."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        for _ in range(_TRIES):
            if self._is_at_end or not size:
                return b""
            try:
                if self._body is None:
                    self._request()
                    continue
                data = self._body.read(size)
            except (BotoCoreError, HTTPError, OSError):
                data = b""
            if data:
                self._at += len(data)
                return data
            self._drop()  # it ended too early
        raise SinkError("The object store breaks off its answers.")

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @property
    def _is_at_end(self) -> bool:
        return self._end is not None and self._at >= self._end

    def _request(self) -> None:
        """Request the rest of the range. Learns where it ends: at the end of the object, if not before."""
        store, wanted = self._bucket, f"bytes={self._at}-{'' if self._end is None else self._end - 1}"
        try:
            found = repeat(lambda: store.client.get_object(Bucket=store.name, Key=self._name, Range=wanted))
        except SinkError as error:
            if not _is_behind_the_end(error):
                raise
            self._end = self._at
        else:
            self._body, self._end = found["Body"], self._at + found["ContentLength"]

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None

    def close(self) -> None:
        self._drop()
        super().close()


def _is_behind_the_end(error: SinkError) -> bool:
    """Whether the store refused a range that begins at the end of the object, or behind it."""
    return isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "InvalidRange"
