"""One prefix of one bucket: the names of its objects, and the requests that concern one object.

Under the prefix, `content/KEY` is committed content, `partial/KEY.…` the end of an open write, `meta/NAME.json` a
sidecar, `quarantine/DATE.REASON.KEY` the quarantine, and `millrace-store` the marker.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast

from ..base import NoSuchKey
from .retries import repeat

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef, ResponseMetadataTypeDef

CONTENT, PARTIAL, META, QUARANTINE, MARKER = "content/", "partial/", "meta/", "quarantine/", "millrace-store"
PROBE = "millrace-probe-"  # written and deleted at once, to find out what is allowed
_PAGE, _SMALL_PAGE = 1000, 16  # names in the answer to one request: a store sends no more than a thousand
_SMALL_DIFFERENCE = timedelta(seconds=10)  # of clocks: an answer takes that long at most


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

    def put(self, place: str, content: bytes | bytearray) -> None:
        """Write a small object, whole or not at all."""
        name = self.object(place)
        # The annotations of the client know no bytearray. It takes one, and does not copy it.
        body = cast(bytes, content)
        repeat(lambda: self.client.put_object(Bucket=self.name, Key=name, Body=body))

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
        """Iterate over the objects whose names begin like this, by name. Their `Key` is their full name."""
        after, more = "", True
        while more:
            objects, more = self._page(place, after, _PAGE)
            yield from objects
            after = objects[-1]["Key"] if objects else ""

    def list_some(self, place: str, beginnings: Iterable[str]) -> Iterator["ObjectTypeDef"]:
        """Iterate over the objects under `place` whose names begin with one of these.

        Takes no more requests than there are beginnings, and no more than listing everything does. A page is small
        where the beginnings lie far apart, and grows where the next one lies on the next page.
        """
        wanted = deque(sorted(self.object(place + beginning) for beginning in beginnings))
        after, page = "", _SMALL_PAGE
        while wanted:
            if wanted[0][:-1] > after:
                after, page = wanted[0][:-1], _SMALL_PAGE
            objects, more = self._page(place, after, page)
            for found in objects:
                while wanted and wanted[0] < found["Key"] and not found["Key"].startswith(wanted[0]):
                    wanted.popleft()
                if wanted and found["Key"].startswith(wanted[0]):
                    yield found
            if not more:
                return
            after, page = objects[-1]["Key"], min(page * 4, _PAGE)

    def _page(self, place: str, after: str, size: int) -> tuple[Sequence["ObjectTypeDef"], bool]:
        """Return objects with names after `after`, and whether there are more. Dates are by our clock."""
        page = repeat(
            lambda: self.client.list_objects_v2(
                Bucket=self.name, Prefix=self.object(place), StartAfter=after, MaxKeys=size
            )
        )
        ahead = clock_difference(page["ResponseMetadata"])
        objects = page.get("Contents", [])
        for found in objects:
            found["LastModified"] -= ahead
        return objects, bool(objects) and page["IsTruncated"]


def clock_difference(answer: "ResponseMetadataTypeDef") -> timedelta:
    """How far the store's clock is ahead of ours, by the date of its answer. Small differences do not count."""
    try:
        ahead = parsedate_to_datetime(answer["HTTPHeaders"].get("date", "")) - datetime.now(UTC)
    except ValueError:
        return timedelta(0)
    return ahead if abs(ahead) > _SMALL_DIFFERENCE else timedelta(0)
