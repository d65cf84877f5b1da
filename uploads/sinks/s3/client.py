"""The S3 client of this process, with the credentials and options of a django-storages backend.

django-storages makes a client for each thread, which costs 15 MB and 0.2 s each. All threads may use one client of
botocore's, so the sink keeps one. The backend's own reading and writing is not used: it fetches whole objects.
"""

import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECT_TIMEOUT, _READ_TIMEOUT = 5.0, 30.0  # seconds; botocore waits 60 for each, three times
_MAX_CONNECTIONS = 64
_AWS = ".amazonaws.com"


def client_of(storage: Any) -> "S3Client":
    """Return the client of an S3Storage. Its own `client_config` is kept, except for what streaming needs."""
    theirs: Config = storage.client_config
    options: Any = getattr(theirs, "s3", None) or {}
    storage.client_config = theirs.merge(
        Config(
            signature_version=getattr(theirs, "signature_version", None) or "s3v4",
            # A part is signed without its hash: TLS and the ETag protect it, and hashing halves the speed.
            s3=options | {"payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            max_pool_connections=_MAX_CONNECTIONS,
            retries={"total_max_attempts": 1},  # retries.py repeats requests, with the bytes that are still in memory
        )
    )
    found: S3Client = storage.connection.meta.client
    host = urlsplit(found.meta.endpoint_url).hostname or ""
    if options.get("addressing_style") is None and host.endswith(_AWS) and "." not in storage.bucket_name:
        # Otherwise URLs that it signs name no region. AWS would redirect them, and pages do not follow that in a PUT.
        again = copy.copy(storage)  # without its client
        again.client_config = storage.client_config.merge(
            Config(s3=options | {"payload_signing_enabled": False, "addressing_style": "virtual"})
        )
        found = again.connection.meta.client
    return found


def public_client_of(storage: Any, url: str) -> "S3Client":
    """Return a client that signs URLs for others, who reach the same store at `url`. It sends no requests itself."""
    theirs = copy.copy(storage)  # without its clients
    theirs.endpoint_url = url
    return client_of(theirs)
