"""MILLRACE_STORAGE as an entry of Django's STORAGES, for django-storages."""

import re
from typing import Any
from urllib.parse import urlsplit

# The names of buckets as S3 restricts them.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_EXPECTED = "write local, or s3://BUCKET or s3://BUCKET/PREFIX"
# The folder of a local store is HOME/media.
LOCAL: dict[str, Any] = {"BACKEND": "django.core.files.storage.FileSystemStorage"}


def parse(raw: str) -> dict[str, Any]:
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
