"""Metrics of uploads and downloads: counts and sizes, no names."""

from datetime import datetime

from django.utils import timezone
from prometheus_client import Counter, Gauge

from ..monitoring.counters import IN_MEMORY, StoredCounter, StoredHistogram, count

_MEGABYTE = 1024**2
_GIGABYTE = 1024**3

# Of this web server.
RECEIVED = Counter("millrace_received_bytes", "Bytes of content received by this server.")
SENT = Counter("millrace_sent_bytes", "Bytes of content sent by this server, by Content-Length.")
ACTIVE = Gauge("millrace_uploads_active", "Uploads that this server is receiving.", multiprocess_mode="livesum")

# Of all processes. The result is complete, failed, or refused: before the first byte, counted in this server only.
_LABELS = ["protocol", "result", "reason"]
_REFUSED = Counter(f"millrace_uploads{IN_MEMORY}", "A part of millrace_uploads.", _LABELS)
UPLOADS = StoredCounter("millrace_uploads", "Uploads that ended.", _LABELS, _REFUSED)
DURATION = StoredHistogram(
    "millrace_upload_duration_seconds", "Time from the start of an upload until its file was stored.", ["size_class"],
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600),
)  # fmt: skip
STORED: list[StoredCounter | StoredHistogram] = [UPLOADS, DURATION]
_SIZE_CLASSES = {10 * _MEGABYTE: "10MiB", 100 * _MEGABYTE: "100MiB", _GIGABYTE: "1GiB", 10 * _GIGABYTE: "10GiB"}


def count_complete(protocol: str, size: int, begun_at: datetime) -> None:
    """Count a completed upload. Call it in the transaction that creates the file."""
    seconds = max(0.0, (timezone.now() - begun_at).total_seconds())
    count(UPLOADS.one(protocol, "complete", ""), DURATION.one(seconds, _size_class(size)))


def count_failed(protocol: str, reason: str) -> None:
    """Count a failed upload. Call it in the transaction that ends it."""
    count(UPLOADS.one(protocol, "failed", reason))


def count_refused(protocol: str, reason: str) -> None:
    """Count an upload that was refused before its first byte. In memory, as anybody can cause millions of them."""
    UPLOADS.count_here(protocol, "refused", reason)


def _size_class(size: int) -> str:
    """The smallest class that the size fits into."""
    return next((name for limit, name in _SIZE_CLASSES.items() if size <= limit), "larger")
