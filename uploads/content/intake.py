"""The one choke point: every byte that reaches us passes `Intake.feed`.

Here, in one pass, content is counted against its limit, looked at, hashed, timed and written. The Intake knows
nothing of HTTP, of Django's forms or of rows; what it needs from them comes in as values and callables.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import EmptyFile, TooSlow, UnsupportedMedia
from ..sinks.base import Writer
from .hashing import Sha256
from .sniffing import HEAD_SIZE, Accepted, MediaType, is_accepted, sniff

# A rate is judged over this many seconds: a client may pause for a breath, not live on one.
RATE_WINDOW = 10.0
UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Content:
    """What an Intake found out about the bytes it let through."""

    sha256: str
    size: int
    kind: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow a client may be; None is no limit."""

    timeout: float | None = None  # seconds for the whole
    min_rate: float | None = None  # bytes a second, over RATE_WINDOW


@dataclass(slots=True)
class Intake:
    writer: Writer
    # Asked when the bytes pass what they have been granted: answers with a new grant, or refuses.
    grow: Callable[[int], int]
    granted: int = 0
    accept: Accepted | None = None  # None accepts anything
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = time.monotonic
    offset: int = 0
    media: MediaType | None = None
    hash: Sha256 = field(default_factory=Sha256)
    _head: bytearray | None = field(default_factory=bytearray)
    _written: int = 0  # of the head
    _started: float = 0.0
    _window: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._window = (self._started, self.offset)
        if self.offset:
            self._head = None  # it goes on behind what was looked at before

    def feed(self, data: bytes | memoryview) -> None:
        """Let the next bytes through, or refuse them: then nothing more may be fed."""
        offset = self.offset + len(data)
        if offset > self.granted:
            self.granted = self.grow(offset)
        self.offset = offset
        if self.pace.timeout or self.pace.min_rate:
            self._check_pace()
        if self._head is None:
            self._pass(data)
        else:
            self._look(data)

    def recall(self, data: bytes | memoryview) -> None:
        """Take note of bytes that the Writer has from before."""
        self.offset += len(data)
        if self._head is None:
            self.hash.update(data)
        else:
            self._written += len(data)
            self._look(data)

    def pause(self) -> None:
        """Give the Writer what was held back. Its bytes are not all there are: more will be fed another time."""
        if self._head is not None:
            self.writer.write(bytes(self._head[self._written :]))
            self._written = len(self._head)

    @property
    def is_judged(self) -> bool:
        """Whether enough came to say what it is."""
        return self._head is None

    def finish(self) -> Content:
        """There is no more. Say what it was."""
        if self.offset == 0:
            raise EmptyFile("The file is empty.")
        if self._head is not None:
            self._judge()
        kind, name = (self.media.kind.value, self.media.name) if self.media else ("", UNKNOWN)
        return Content(self.hash.hexdigest(), self.offset, kind, name)

    def _pass(self, data: bytes | memoryview) -> None:
        self.hash.update(data)
        self.writer.write(data)

    def _look(self, data: bytes | memoryview) -> None:
        """Hold the beginning back until there is enough of it to judge: what we refuse is never written."""
        assert self._head is not None
        self._head += data
        if len(self._head) >= HEAD_SIZE:
            self._judge()

    def _judge(self) -> None:
        assert self._head is not None
        head, self._head = memoryview(self._head), None  # of many at once, each copy of it would count
        self.media = sniff(bytes(head[:HEAD_SIZE]))
        if self.accept is not None and not is_accepted(self.media, self.accept):
            found = f"This is {self.media.name}" if self.media else "The content is no media that we know"
            accepted = ", ".join(sorted(self.accept))
            raise UnsupportedMedia(f"{found}; accepted here: {accepted}. The name of a file does not count.")
        self.hash.update(head)
        self.writer.write(head[self._written :])

    def _check_pace(self) -> None:
        now = self.clock()
        if self.pace.timeout and now - self._started > self.pace.timeout:
            raise TooSlow(f"The upload took longer than the {self.pace.timeout:.0f} s it may take.")
        since, offset_then = self._window
        if now - since >= RATE_WINDOW:
            if self.pace.min_rate and (self.offset - offset_then) / (now - since) < self.pace.min_rate:
                raise TooSlow(f"The upload came in below {self.pace.min_rate:.0f} bytes a second.")
            self._window = (now, self.offset)
