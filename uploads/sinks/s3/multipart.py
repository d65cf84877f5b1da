"""One multipart upload: send parts, complete, abort."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ..base import NoSuchKey, SinkError
from .bucket import Bucket
from .parts import Part
from .retries import repeat

# The sweep aborts what could not be aborted in time.
_PATIENCE_TO_ABORT = 5.0
_MD5_HEX = 32


@dataclass(frozen=True, slots=True)
class Multipart:
    bucket: Bucket
    name: str  # of the object
    id: str

    @classmethod
    def begin(cls, bucket: Bucket, name: str, patience: float = math.inf) -> "Multipart":
        made = repeat(lambda: bucket.client.create_multipart_upload(Bucket=bucket.name, Key=name), patience)
        return cls(bucket, name, made["UploadId"])

    def send(self, number: int, content: bytearray) -> Part:
        # The annotations of the client know no bytearray. It takes one, and does not copy it.
        body = cast(bytes, content)
        sent = repeat(
            lambda: self.bucket.client.upload_part(
                Bucket=self.bucket.name, Key=self.name, UploadId=self.id, PartNumber=number, Body=body
            )
        )
        return Part(number, len(content), sent["ETag"])

    def complete(self, parts: Sequence[Part]) -> None:
        """Make the object of these parts. If an earlier answer was lost, find out whether it is there."""
        try:
            repeat(
                lambda: self.bucket.client.complete_multipart_upload(
                    Bucket=self.bucket.name, Key=self.name, UploadId=self.id,
                    MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]},
                )
            )  # fmt: skip
        except NoSuchKey as error:
            if not self._is_completed(parts):
                raise SinkError("The object store has lost the parts of this upload.") from error

    def abort(self, patience: float = _PATIENCE_TO_ABORT) -> None:
        try:
            repeat(
                lambda: self.bucket.client.abort_multipart_upload(
                    Bucket=self.bucket.name, Key=self.name, UploadId=self.id
                ),
                patience,
            )
        except NoSuchKey:
            return  # it was aborted or completed already

    def _is_completed(self, parts: Sequence[Part]) -> bool:
        try:
            found = repeat(lambda: self.bucket.client.head_object(Bucket=self.bucket.name, Key=self.name))
        except NoSuchKey:
            return False
        if found["ContentLength"] != sum(part.size for part in parts):
            return False
        expected = _etag_of(parts)
        # With keys of a key service, ETags are not those of the bytes.
        is_plain = "aws:kms" not in found.get("ServerSideEncryption", "") and expected is not None
        return found["ETag"].strip('"') == expected if is_plain else True


def _etag_of(parts: Sequence[Part]) -> str | None:
    """The ETag of an object of these parts: the MD5 of their MD5s. None if their ETags are not MD5s."""
    digests = [part.etag.strip('"') for part in parts]
    try:
        whole = b"".join(bytes.fromhex(digest) for digest in digests)
    except ValueError:
        return None
    if any(len(digest) != _MD5_HEX for digest in digests):
        return None
    return f"{hashlib.md5(whole, usedforsecurity=False).hexdigest()}-{len(parts)}"
