"""MILLRACE_STORAGE and MILLRACE_OTHER_STORAGE as entries of Django's STORAGES, for django-storages."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

# The names of buckets as S3 restricts them.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_EXPECTED = "write local, or s3://BUCKET or s3://BUCKET/PREFIX"
Entry = dict[str, Any]
NO_OTHERS: dict[str, Entry] = {}
# The folder of a local store is HOME/media.
LOCAL: Entry = {"BACKEND": "django.core.files.storage.FileSystemStorage"}


def parse(raw: str) -> Entry:
    """Parse `local` or `s3://BUCKET/PREFIX`. Endpoint, region and credentials are the AWS SDK's own variables."""
    if raw == "local":
        return LOCAL
    found = urlsplit(raw)
    if found.scheme != "s3" or not _BUCKET.fullmatch(found.netloc) or found.query or found.fragment:
        raise ValueError(_EXPECTED)
    location = found.path.strip("/")
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {"bucket_name": found.netloc, "location": location, "file_overwrite": False},
    }


def parse_others(raw: str) -> dict[str, Entry]:
    """Parse the stores that take no new bytes, with commas between them. Returns them by their alias in STORAGES."""
    return {f"millrace-{number}": parse(word.strip()) for number, word in enumerate(raw.split(","), 1)}


def with_cdn(entry: Entry, *, url: str, key_id: str, key: str) -> Entry:
    """Add the CDN in front of a bucket: its URL, and the id and the text of CloudFront's private key."""
    if bool(key_id) != bool(key) or (key and not url):
        raise ImproperlyConfigured("Set MILLRACE_CDN_URL, MILLRACE_CDN_KEY_ID and MILLRACE_CDN_KEY together.")
    if not url:
        return entry
    if "OPTIONS" not in entry:
        raise ImproperlyConfigured("MILLRACE_CDN_URL needs a bucket: set MILLRACE_STORAGE to s3://BUCKET/PREFIX.")
    scheme, _, domain = url.partition("//")
    options = {"url_protocol": scheme, "custom_domain": domain, "cloudfront_key_id": key_id, "cloudfront_key": key}
    return entry | {"OPTIONS": entry["OPTIONS"] | {name: value for name, value in options.items() if value}}
