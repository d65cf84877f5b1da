"""Objects in the bucket of a home, with the few words of a Path that tests use for stored bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.object_store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, order=True)
class StoredObject:
    place: str  # the object's full name
    upload_id: str = ""  # of a multipart upload that is open
    bucket: str = field(default="", compare=False)
    client: "S3Client | None" = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The key."""
        return self.place.rpartition("/")[2]

    def read_bytes(self) -> bytes:
        return self._client.get_object(Bucket=self.bucket, Key=self.place)["Body"].read()

    def write_bytes(self, content: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=self.place, Body=content)

    def unlink(self) -> None:
        if self.upload_id:
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=self.place, UploadId=self.upload_id)
        else:
            self._client.delete_object(Bucket=self.bucket, Key=self.place)

    def exists(self) -> bool:
        return self in set(_objects(self._client, self.bucket, self.place))

    @property
    def _client(self) -> "S3Client":
        assert self.client is not None
        return self.client


def objects(store: ObjectStore, bucket: str, prefix: str) -> list[StoredObject]:
    return sorted(_objects(store.client(), bucket, prefix))


def open_uploads(store: ObjectStore, bucket: str, prefix: str) -> list[StoredObject]:
    """Multipart uploads that are neither complete nor aborted."""
    client = store.client()
    found = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return sorted(StoredObject(one["Key"], one["UploadId"], bucket, client) for one in found)


def _objects(client: "S3Client", bucket: str, prefix: str) -> Iterator[StoredObject]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            yield StoredObject(found["Key"], "", bucket, client)
