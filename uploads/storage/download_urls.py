"""URLs at which clients download content from its store, or from the CDN, as MILLRACE_DOWNLOADS says."""

from ..conf import limits
from ..models import Blob
from ..sinks.base import Sink
from ..sinks.download_urls import DownloadSink, DownloadUrls
from .stores import sink_named, sinks


def download_urls(blob: Blob) -> DownloadUrls | None:
    """The URLs of the store or CDN of a Blob. None: this server sends the content itself."""
    return _urls_of(sink_named(blob.sink))


def etag_in_store(blob: Blob) -> str | None:
    """The ETag that clients get with a Blob that they download from its store. Raises NoSuchKey."""
    sink = sink_named(blob.sink)
    return sink.etag(blob.key) if isinstance(sink, DownloadSink) else None


def download_origins() -> list[str]:
    """The origins of these URLs. Pages that show content must allow them."""
    return [urls.origin for sink in sinks() if (urls := _urls_of(sink))]


def _urls_of(sink: Sink) -> DownloadUrls | None:
    if not isinstance(sink, DownloadSink) or limits().downloads == "proxy":
        return None
    return sink.presigned if limits().downloads == "redirect" else sink.cdn
