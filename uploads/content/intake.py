"""The single point that every received byte passes: `Intake.feed`.

In one pass it checks the size limit and the pace, sniffs the first bytes, hashes, scans for viruses if asked to, and
writes. It does not depend on HTTP, Django's forms or database rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import EmptyFile, UnsupportedMedia
from ..sinks.base import Writer
from .hashing import Sha256
from .minimum_speed import Pace, SpeedCheck
from .sniffing import HEAD_SIZE, Accepted, MediaType, is_accepted, sniff
from .virus_scan import VirusScan

UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Content:
    """What an Intake found out about content."""

    sha256: str
    size: int
    kind: str
    media_type: str


@dataclass(slots=True)
class Intake:
    writer: Writer
    # Called with the offset that exceeds `granted`. Returns a larger grant, or raises a Refusal.
    grow: Callable[[int], int]
    granted: int = 0
    accept: Accepted | None = None  # None accepts anything
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = time.monotonic
    scan: VirusScan | None = None  # None: no scanner is configured, or the content is scanned when it is complete
    offset: int = 0
    media: MediaType | None = None
    hash: Sha256 = field(default_factory=Sha256)
    _head: bytearray | None = field(default_factory=bytearray)
    _written: int = 0  # of the head
    _speed_check: SpeedCheck | None = None

    def __post_init__(self) -> None:
        if self.pace.timeout or self.pace.min_rate:
            self._speed_check = SpeedCheck(self.pace, self.clock, self.offset)
        if self.offset:
            self._head = None  # an earlier Intake has sniffed the head

    def feed(self, data: bytes | memoryview) -> None:
        """Process the next bytes, or raise a Refusal: then nothing more may be fed."""
        offset = self.offset + len(data)
        if offset > self.granted:
            self.granted = self.grow(offset)
        self.offset = offset
        if self._speed_check is not None:
            self._speed_check(offset)
        if self._head is None:
            self._process(data)
        else:
            self._sniff_head(data)

    def feed_stored(self, data: bytes | memoryview) -> None:
        """Count and hash bytes that an earlier request has written."""
        self.offset += len(data)
        if self._head is None:
            self.hash.update(data)
        else:
            self._written += len(data)
            self._sniff_head(data)

    def pause(self) -> None:
        """Write the head that was held back. A later request feeds the rest of the content."""
        if self._head is not None:
            self.writer.write(bytes(self._head[self._written :]))
            self._written = len(self._head)

    @property
    def is_sniffed(self) -> bool:
        """Whether the head was sniffed."""
        return self._head is None

    def finish(self) -> Content:
        """End the content, and return what it is."""
        if self.offset == 0:
            raise EmptyFile("The file is empty.")
        if self._head is not None:
            self._accept_head()
        if self.scan is not None:
            self.scan.finish()
        kind, name = (self.media.kind.value, self.media.name) if self.media else ("", UNKNOWN)
        return Content(self.hash.hexdigest(), self.offset, kind, name)

    def close(self) -> None:
        """Give the content up: no verdict of the scanner is needed."""
        if self.scan is not None:
            self.scan.close()

    def _process(self, data: bytes | memoryview, written: int = 0) -> None:
        """Hash, scan and write these bytes. The first `written` of them are written already."""
        self.hash.update(data)
        if self.scan is not None:
            self.scan.feed(data)
        self.writer.write(data[written:] if written else data)

    def _sniff_head(self, data: bytes | memoryview) -> None:
        """Hold the head back until there is enough of it to sniff: refused content is never written."""
        assert self._head is not None
        self._head += data
        if len(self._head) >= HEAD_SIZE:
            self._accept_head()

    def _accept_head(self) -> None:
        assert self._head is not None
        head, self._head = memoryview(self._head), None  # a view: copies in many uploads at a time would take memory
        self.media = sniff(bytes(head[:HEAD_SIZE]))
        if self.accept is not None and not is_accepted(self.media, self.accept):
            found = f"This is {self.media.name}" if self.media else "This is not a known media type"
            accepted = ", ".join(sorted(self.accept))
            raise UnsupportedMedia(f"{found}, by its content. Accepted are: {accepted}.")
        self._process(head, self._written)
