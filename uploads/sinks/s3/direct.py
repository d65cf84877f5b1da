"""Parts that clients send straight to the bucket, by presigned addresses of a multipart upload.

An address is signed for the length of its part: the store refuses a request with any other Content-Length.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ..base import SinkError
from ..direct import DirectWrites, Part, PartsChanged
from . import cors
from .bucket import Bucket
from .download_urls import origin_of
from .multipart import Multipart
from .parts import part_size
from .retries import code_of, repeat

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# Short: a client waits for each answer, and repeats its request by itself.
_PATIENCE = 10.0
_CHANGED = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}


class S3DirectWrites(DirectWrites):
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @cached_property
    def origin(self) -> str:
        return origin_of(self.sign("key", "id", 1, 1, 60))

    def allow_origins(self, origins: list[str]) -> None:
        cors.allow(self._bucket, origins)

    def refused_origins(self, origins: list[str]) -> list[str]:
        return cors.refused(self._bucket, origins)

    def part_size(self, size: int) -> int:
        return part_size(size)

    def begin(self, key: str) -> str:
        return Multipart.begin(self._bucket, self._bucket.content(key), _PATIENCE).id

    def sign(self, key: str, write_id: str, number: int, size: int, seconds: int) -> str:
        part = {
            "Bucket": self._bucket.name, "Key": self._bucket.content(key), "UploadId": write_id,
            "PartNumber": number, "ContentLength": size,
        }  # fmt: skip
        return self._bucket.signer.generate_presigned_url("upload_part", Params=part, ExpiresIn=seconds)

    def parts(self, key: str, write_id: str) -> Iterator[Part]:
        client, bucket, name, after = self._bucket.client, self._bucket.name, self._bucket.content(key), 0
        while True:
            last = after
            page = repeat(
                lambda: client.list_parts(
                    Bucket=bucket, Key=name, UploadId=write_id, PartNumberMarker=last  # noqa: B023  # called at once
                ),
                _PATIENCE,
            )  # fmt: skip
            for found in page.get("Parts", []):
                yield Part(found["PartNumber"], found["Size"], found["ETag"].strip('"'), found["LastModified"])
            if not page.get("IsTruncated"):
                return
            after = page["NextPartNumberMarker"]

    def assemble(self, key: str, write_id: str, etags: Mapping[int, str]) -> None:
        bucket, name = self._bucket, self._bucket.content(key)
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": f'"{etags[number]}"'} for number in sorted(etags)
        ]
        try:
            repeat(
                lambda: bucket.client.complete_multipart_upload(
                    Bucket=bucket.name, Key=name, UploadId=write_id, MultipartUpload={"Parts": parts}
                )
            )
        except SinkError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and code_of(cause) in _CHANGED:
                raise PartsChanged(str(error)) from error
            raise

    def abandon(self, key: str, write_id: str) -> None:
        Multipart(self._bucket, self._bucket.content(key), write_id).abort(_PATIENCE)
