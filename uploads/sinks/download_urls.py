"""The contract of stores from which clients can download without this server, by a URL that expires.

A URL is a right to read one object until it expires: nobody can take it back. So it is valid for a short time only.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .base import Sink


@dataclass(frozen=True, slots=True)
class Presentation:
    """Headers that the store sends with the bytes. Only the row of a file knows them, as files share bytes."""

    media_type: str
    disposition: str


class DownloadUrls(ABC):
    expires = True  # whether the URLs stop working after a time

    @abstractmethod
    def url(self, key: str, shown: Presentation, seconds: int) -> str:
        """The URL for a GET of the bytes under `key`, all of them or a range. It works for `seconds`."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """Scheme, host and port of all URLs, for the security policy of pages that show the content."""


class DownloadSink(Sink):
    """A Sink whose bytes clients can download from the store itself, or from a CDN in front of it."""

    presigned: DownloadUrls
    cdn: DownloadUrls | None

    @abstractmethod
    def etag(self, key: str) -> str:
        """The ETag that the store sends with these bytes. Raises NoSuchKey."""
