"""Settings of uploads. config/ reads the environment, and sets a Limits as `settings.UPLOADS`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from django.conf import settings

from .content.minimum_speed import Pace
from .content.sniffing import Accepted, Kind
from .content.virus_scan import Clamd, VirusScan

# The file size that means "no limit" (9 PB): the largest integer that JSON numbers hold exactly.
UNLIMITED = 2**53
# None accepts any content.
EVERY_KIND: Accepted | None = frozenset(Kind)


# This server sends content, or it redirects clients to the store or to its CDN.
Downloads = Literal["proxy", "redirect", "cdn"]


@dataclass(frozen=True, slots=True)
class Limits:
    media_root: Path
    max_file_size: int = 10 * 1024**3
    accept: Accepted | None = EVERY_KIND
    quota: int | None = None
    min_free: int = 1024**3
    warn_free: int = 0  # below this the disk counts as nearly full
    ballast: int = 0  # bytes, of a file beside the media root
    max_uploads_per_user: int = 32
    buffer_memory: int = 64 * 1024**2  # bytes, for the read buffers of all requests together
    chunk_size: int | None = None  # of reading uploads and sending downloads; None: adaptive
    idle_timeout: float = 60.0
    upload_expiry: float = 7 * 86400.0  # seconds without a request until a resumable upload expires
    progress_interval: float = 0.5  # seconds between updates of the progress of uploads in the database
    pace: Pace = field(default_factory=Pace)
    clamd: Clamd | None = None  # the virus scanner
    quarantine_kept: float = 30 * 86400.0  # seconds until bytes in quarantine are deleted
    accel_prefix: str = ""
    downloads: Downloads = "proxy"  # who sends content that is in an object store
    download_expiry: float = 3600.0  # seconds for which a client may use a URL of the store or of its CDN
    storage_public_url: str = ""  # at which clients reach an object store; "": at the same as this server
    public_url: str = ""  # the base of links; "": the URL of the request
    direct_uploads: bool = False  # whether clients may send parts straight to the store, if the store can take them
    media_group: int | None = None  # the id of a group that may read content, such as nginx's
    private: tuple[Path, ...] = ()  # other files and folders of Millrace's own: `ingest` does not read them


def finite(size: int) -> int | None:
    """Return a maximum size for people and programs: None for no limit."""
    return None if size >= UNLIMITED else size


def limits() -> Limits:
    found: Limits = settings.UPLOADS
    return found


def virus_scan() -> VirusScan | None:
    """A scan of one content. None if no scanner is configured."""
    clamd = limits().clamd
    return VirusScan(clamd) if clamd is not None else None
