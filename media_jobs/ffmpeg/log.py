"""The last lines that a tool wrote to stderr: cleaned to be shown, and read for what they give away."""

import re
from collections import deque
from collections.abc import Mapping

MAX_LINES, MAX_BYTES = 200, 64 * 1024
_MAX_LINE = 2000

# What a player's own code calls it when an input ends before its last packet. ffmpeg's exit code is 0 all the same.
_CUT_OFF = re.compile(
    r"File ended prematurely|: partial file$|moov atom not found"
    # A transport stream says so of every lost packet, and goes on.
    r"|^\[in#\d+/(?!mpegts)\S+ @ \S+\] \[warning\] Packet corrupt \(stream"
)
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
        self.is_cut_off = False  # the input ended before its time
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
        self.is_cut_off = self.is_cut_off or bool(_CUT_OFF.search(line))
        if found := _ERROR.search(line):
            self.errors.append(found["said"])

    def _clean(self, line: str) -> str:
        line = clean_text(line).rstrip()
        for path, name in self._names:
            line = line.replace(f"file:{path}", name).replace(path, name)
        return _PATH.sub("", line)
