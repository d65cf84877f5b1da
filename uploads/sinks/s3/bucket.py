"""One prefix of one bucket: the names of its objects, and the requests that concern one object.

Under the prefix, `content/KEY` is committed content, `meta/NAME.json` a sidecar, `quarantine/DATE.REASON.KEY` the
quarantine, and `millrace-store` the marker.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base import NoSuchKey
from .retries import repeat

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef

CONTENT, META, QUARANTINE, MARKER = "content/", "meta/", "quarantine/", "millrace-store"


@dataclass(frozen=True, slots=True)
class Bucket:
    client: "S3Client"
    name: str
    prefix: str  # "", or it ends with a slash
    public_client: "S3Client | None" = None  # signs URLs for others, who reach the store at another endpoint

    @property
    def signer(self) -> "S3Client":
        """The client that signs URLs for others."""
        return self.public_client or self.client

    def content(self, key: str) -> str:
        return self.object(CONTENT + key)

    def object(self, place: str) -> str:
        """Return the full name of an object of ours."""
        return self.prefix + place

    def get(self, place: str) -> bytes:
        """Read a small object. Raises NoSuchKey."""
        name = self.object(place)
        return repeat(lambda: self.client.get_object(Bucket=self.name, Key=name)["Body"].read())

    def put(self, place: str, content: bytes) -> None:
        """Write a small object, whole or not at all."""
        name = self.object(place)
        repeat(lambda: self.client.put_object(Bucket=self.name, Key=name, Body=content))

    def delete(self, place: str) -> None:
        """Delete an object. Does nothing if it does not exist."""
        name = self.object(place)
        repeat(lambda: self.client.delete_object(Bucket=self.name, Key=name))

    def head(self, place: str) -> "HeadObjectOutputTypeDef":
        """What the store knows of an object. Raises NoSuchKey."""
        name = self.object(place)
        return repeat(lambda: self.client.head_object(Bucket=self.name, Key=name))

    def size(self, place: str) -> int | None:
        try:
            return self.head(place)["ContentLength"]
        except NoSuchKey:
            return None

    def list(self, place: str) -> Iterator["ObjectTypeDef"]:
        """Iterate over the objects whose names begin like this. Their `Key` is their full name."""
        after = ""
        while True:
            last = after
            page = repeat(
                lambda: self.client.list_objects_v2(
                    Bucket=self.name,
                    Prefix=self.object(place),
                    StartAfter=last,  # noqa: B023  # called at once
                )
            )
            yield from page.get("Contents", [])
            if not page.get("IsTruncated"):
                return
            after = page["Contents"][-1]["Key"]
