"""The last lines that a tool wrote to stderr: cleaned to be shown, and read for what they give away."""

import re
from collections import deque
from collections.abc import Mapping
from enum import Enum, auto

MAX_LINES, MAX_BYTES = 200, 64 * 1024
_MAX_LINE = 2000


class Sign(Enum):
    """What makes a run a failure though ffmpeg's exit code is 0."""

    CUT_OFF = auto()  # the input ended before its last packet
    LEAP = auto()  # its timestamps went further at once than Command lets them
    COPIES = auto()  # more of one frame were needed to keep a steady rate than ffmpeg makes
    PAUSE = auto()  # more silence was needed than memory can hold


_SIGNS = {
    Sign.CUT_OFF: re.compile(
        r"File ended prematurely|: partial file$|moov atom not found"
        # A transport stream says so of every lost packet, and goes on.
        r"|^\[in#\d+/(?!mpegts)\S+ @ \S+\] \[warning\] Packet corrupt \(stream"
    ),
    Sign.LEAP: re.compile(r"\[warning\] [DP]TS .*\binvalid dropping\b"),
    Sign.COPIES: re.compile("frame duplication too large"),
    Sign.PAUSE: re.compile("Failed to compensate for timestamp delta"),
}
_ERROR = re.compile(r"\[(?:error|fatal|panic)\] (?P<said>.+)$")
# These say only that something failed, after what said why.
_VAGUE = re.compile(
    r"^(?:Error opening (?:input|output) files?\b|Task finished with error|Terminating thread|Conversion failed"
    r"|Nothing was written into output|Failed to configure|Error reinitializing|Error selecting"
    r"|Could not open encoder"
    r"|Error while (?:filtering|opening)|Error (?:submitting|sending|muxing|writing))"
)
_NOISE = "has not been used for any stream"  # of limits that we set whatever is inside
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PATH = re.compile(r"(?<![\w./])(?:file:)?/(?:[^/\s'\":,]+/)+(?=[^/\s'\":,])")


def clean_text(text: str) -> str:
    """Without what could move the cursor, colour the screen or turn the direction of writing."""
    return _CONTROL.sub("", text)


class Log:
    """`names` says what to write instead of a path of ours; of any other path only the last part stays."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.signs: set[Sign] = set()
        self.errors: deque[str] = deque(maxlen=20)  # without level and origin
        self._names = sorted((names or {}).items(), key=lambda pair: -len(pair[0]))
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = re.split(rb"[\r\n]+", self._rest + data)
        if len(self._rest) > _MAX_LINE:  # it may never end
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._add(line[:_MAX_LINE])

    def close(self) -> None:
        self._add(self._rest[:_MAX_LINE])
        self._rest = b""

    @property
    def text(self) -> str:
        return "\n".join(self._lines)[-MAX_BYTES:]

    @property
    def last_error(self) -> str:
        """What most likely says why it failed."""
        telling = [said for said in self.errors if not _VAGUE.match(said)]
        return (telling or list(self.errors) or [""])[-1]

    def _add(self, raw: bytes) -> None:
        line = self._clean(raw.decode(errors="replace"))
        if not line or _NOISE in line:
            return
        self._lines.append(line)
        self.signs |= {sign for sign, words in _SIGNS.items() if words.search(line)}
        if found := _ERROR.search(line):
            self.errors.append(found["said"])

    def _clean(self, line: str) -> str:
        line = clean_text(line).rstrip()
        for path, name in self._names:
            line = line.replace(f"file:{path}", name).replace(path, name)
        return _PATH.sub("", line)
