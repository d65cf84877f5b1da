"""URLs of objects for clients: presigned by our client, or of a CDN, by the options of the django-storages backend.

The backend's own `url()` is not used: for each thread it would make another client, of 15 MB.
"""

import time
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ..download_urls import DownloadUrls, Presentation
from .bucket import Bucket


class PresignedUrls(DownloadUrls):
    """URLs of the store itself. Signing needs no request."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def url(self, key: str, shown: Presentation, seconds: int) -> str:
        wanted = {"ResponseContentType": shown.media_type, "ResponseContentDisposition": shown.disposition}
        place = {"Bucket": self._bucket.name, "Key": self._bucket.content(key)}
        return self._bucket.signer.generate_presigned_url("get_object", Params=place | wanted, ExpiresIn=seconds)

    @cached_property
    def origin(self) -> str:
        return origin_of(self.url("key", Presentation("video/mp4", "inline"), 60))


class CdnUrls(DownloadUrls):
    """URLs of a CDN whose origin is the bucket: of CloudFront with its signature, or public ones.

    Only with a key pair the URLs expire, and name type and disposition: S3 accepts these names in signed requests
    alone, and a CDN that is open to everybody does not sign its own.
    """

    def __init__(self, storage: Any, bucket: Bucket) -> None:
        self._base = f"{storage.url_protocol}//{storage.custom_domain}/"
        self._signer = storage.cloudfront_signer if storage.querystring_auth else None
        self._bucket = bucket
        self.expires = self._signer is not None

    def url(self, key: str, shown: Presentation, seconds: int) -> str:
        plain = f"{self._base}{quote(self._bucket.content(key))}"
        if self._signer is None:
            return plain
        wanted = {"response-content-type": shown.media_type, "response-content-disposition": shown.disposition}
        until = datetime.fromtimestamp(time.time() + seconds, UTC)
        signed: str = self._signer.generate_presigned_url(
            f"{plain}?{urlencode(wanted, quote_via=quote)}", date_less_than=until
        )
        return signed

    @property
    def origin(self) -> str:
        return origin_of(self._base)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
