"""Write a stream as a multipart upload. One part is in memory at a time, in a buffer that is used again."""

from typing import TYPE_CHECKING, cast

from ..base import NoSuchKey, SinkError, Writer
from ..crash_points import Step, reached
from .bucket import Bucket
from .retries import repeat

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_MB = 1024**2
_MOST_PARTS = 10_000
_SMALLEST_PART, _PART_OF_UNKNOWN_SIZE = 8 * _MB, 16 * _MB


def part_size(size: int | None) -> int:
    """The size of parts: a store takes 10,000 of them."""
    if size is None:
        return _PART_OF_UNKNOWN_SIZE
    return max(_SMALLEST_PART, -(-size // (_MOST_PARTS * _MB)) * _MB)


class S3Writer(Writer):
    def __init__(self, bucket: Bucket, key: str, size: int | None) -> None:
        self._bucket, self._name = bucket, bucket.content(key)
        self._part_size = part_size(size)
        self._buffer = bytearray()
        self._parts: list[CompletedPartTypeDef] = []
        self._upload_id = ""
        self._is_open = True
        self.key, self.offset = key, 0

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            piece = rest[: self._part_size - len(self._buffer)]
            self._buffer += piece
            self.offset += len(piece)
            rest = rest[len(piece) :]
            if len(self._buffer) == self._part_size:
                self._send_part()

    def commit(self) -> None:
        if not self._is_open:
            return
        try:
            if self._upload_id and self._buffer:
                self._send_part()
            reached(Step.SYNCED)
            self._complete() if self._upload_id else self._put_whole()
            reached(Step.LINKED)
            reached(Step.DIRECTORY_SYNCED)
        except SinkError:
            self.abort()
            raise
        self._end()

    def abort(self) -> None:
        if not self._is_open:
            return
        upload_id = self._upload_id
        self._end()
        if upload_id:
            client = self._bucket.client
            try:
                repeat(
                    lambda: client.abort_multipart_upload(
                        Bucket=self._bucket.name, Key=self._name, UploadId=upload_id
                    )
                )
            except NoSuchKey:
                return  # it was aborted already

    def close(self) -> None:
        self.abort()

    def _send_part(self) -> None:
        client, number = self._bucket.client, len(self._parts) + 1
        if not self._upload_id:
            made = repeat(lambda: client.create_multipart_upload(Bucket=self._bucket.name, Key=self._name))
            self._upload_id = made["UploadId"]
        sent = repeat(
            lambda: client.upload_part(
                Bucket=self._bucket.name, Key=self._name, UploadId=self._upload_id,
                PartNumber=number, Body=cast(bytes, self._buffer),
            )
        )  # fmt: skip
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._buffer.clear()

    def _complete(self) -> None:
        repeat(
            lambda: self._bucket.client.complete_multipart_upload(
                Bucket=self._bucket.name, Key=self._name, UploadId=self._upload_id,
                MultipartUpload={"Parts": self._parts},
            )
        )  # fmt: skip

    def _put_whole(self) -> None:
        repeat(
            lambda: self._bucket.client.put_object(
                Bucket=self._bucket.name, Key=self._name, Body=cast(bytes, self._buffer)
            )
        )

    def _end(self) -> None:
        self._is_open, self._buffer = False, bytearray()
