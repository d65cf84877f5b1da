"""What Prometheus may know: counts and sizes, no names."""

from prometheus_client import Counter, Gauge, Histogram

_MEGABYTE = 1024.0**2

BYTES_IN = Counter("millrace_bytes_in", "Bytes of content received.")
BYTES_OUT = Counter("millrace_bytes_out", "Bytes of content handed out, as announced in the answers.")
UPLOADS = Counter("millrace_uploads", "Uploads ended.", ["protocol", "result", "reason"])
ACTIVE = Gauge("millrace_active_uploads", "Uploads on their way in this process.")
DURATION = Histogram(
    "millrace_upload_duration_seconds", "Time of an upload that became a file.",
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600),
)  # fmt: skip
SIZE = Histogram(
    "millrace_upload_size_bytes", "Size of an upload that became a file.",
    buckets=[_MEGABYTE * n for n in (1, 10, 100, 500, 1024, 2048, 5120, 10240)],
)  # fmt: skip
