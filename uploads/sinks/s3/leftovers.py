"""Multipart uploads and tails in the bucket: those of living writes, and what killed processes left.

Between a request that begins one and the record of it, a process can be killed; or the answer is lost, and the
request is repeated. Nobody sees what that leaves, and it takes space for ever.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..base import Fragment, NoSuchKey
from .bucket import CONTENT, PARTIAL, QUARANTINE, Bucket, clock_difference
from .multipart import Multipart
from .retries import repeat

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListMultipartUploadsOutputTypeDef


def fragments(bucket: Bucket) -> Iterator[Fragment]:
    for place in (CONTENT, QUARANTINE):
        yield from _multipart_uploads(bucket, place)
    for found in bucket.list(PARTIAL):
        name = found["Key"].removeprefix(bucket.object(PARTIAL))
        yield Fragment(name.partition(".")[0], name, found["Key"], found["LastModified"])


def is_empty(bucket: Bucket, found: Fragment) -> bool:
    """Whether no bytes are lost with it: no part has arrived, or it is an unfinished copy."""
    if not found.key:
        return True
    if _is_tail(bucket, found):
        return False
    try:
        page = repeat(
            lambda: bucket.client.list_parts(Bucket=bucket.name, Key=found.place, UploadId=found.name, MaxParts=1)
        )
    except NoSuchKey:
        return True
    return not page.get("Parts")


def delete(bucket: Bucket, found: Fragment) -> None:
    if _is_tail(bucket, found):
        bucket.delete(PARTIAL + found.name)
    else:
        Multipart(bucket, found.place, found.name).abort()


def _is_tail(bucket: Bucket, found: Fragment) -> bool:
    return found.place.startswith(bucket.object(PARTIAL))


def _multipart_uploads(bucket: Bucket, place: str) -> Iterator[Fragment]:
    after: tuple[str, str] | None = ("", "")
    while after is not None:
        page = _page(bucket, place, *after)
        ahead = clock_difference(page["ResponseMetadata"])
        for found in page.get("Uploads", []):
            key = found["Key"].removeprefix(bucket.object(place)) if place == CONTENT else ""
            yield Fragment(key, found["UploadId"], found["Key"], found["Initiated"] - ahead)
        after = (page["NextKeyMarker"], page["NextUploadIdMarker"]) if page.get("IsTruncated") else None


def _page(bucket: Bucket, place: str, key: str, upload_id: str) -> "ListMultipartUploadsOutputTypeDef":
    return repeat(
        lambda: bucket.client.list_multipart_uploads(
            Bucket=bucket.name, Prefix=bucket.object(place), KeyMarker=key, UploadIdMarker=upload_id
        )
    )
