"""URLs at which clients download content from its store, or from the CDN, as MILLRACE_DOWNLOADS says."""

from collections.abc import Mapping
from typing import Any

from ..conf import limits
from ..models import Blob
from ..sinks.base import Sink
from ..sinks.download_urls import DownloadSink, DownloadUrls
from .stores import sink_named, sinks

_MOST = 7 * 86400  # seconds: S3 refuses longer ones
_WATCHING = 2  # times its duration: how long a film is watched, with pauses


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


def url_lifetime(facts: Mapping[str, Any] | None, *, is_inline: bool) -> float:
    """For how many seconds a URL of the store is to work.

    It cannot be taken back, so not for long. But Chromium, once redirected, sends all further requests of a player to
    the store: a URL that expires before the end of the film stops it.
    """
    duration = (facts or {}).get("duration") if is_inline else None
    return min(max(limits().download_expiry, _WATCHING * (duration or 0.0)), _MOST)


def longest_use(blob: Blob) -> float:
    """For how many seconds clients may still use a URL of this Blob that they have just got."""
    return 0.0 if download_urls(blob) is None else url_lifetime(blob.facts, is_inline=True)


def _urls_of(sink: Sink) -> DownloadUrls | None:
    if not isinstance(sink, DownloadSink) or limits().downloads == "proxy":
        return None
    return sink.presigned if limits().downloads == "redirect" else sink.cdn
