"""ffmpeg's error output: cleaned to be shown to users, and translated into the reason why a run failed.

To explain another message to users, add a row to a table here: MESSAGES for runs that failed, PROBLEMS for runs that
failed although ffmpeg reported success.
"""

import re
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ..errors import BadMedia, Failure, Internal, NoRoom, ResourceLimit, ToolFailed, UnfitMedia
from .command import MAX_FRAME_COPIES, MAX_TIMESTAMP_GAP
from .demuxers import MAX_PIXELS
from .progress import duration_text
from .sandbox import Limits

MAX_LINES, MAX_BYTES = 200, 64 * 1024  # of a log that is kept
_MAX_LINE = 2000
_MAX_DETAIL = 300  # characters of ffmpeg's own message that users are shown

# The shares of a limit at which it counts as reached. The kernel has two counts of processor time, and memory is read
# only ten times a second.
_CPU_SHARE, _MEMORY_SHARE = 0.9, 0.7

# What users can do.
LESS_MEMORY = "Choose a smaller height, or the codec h264."
LESS_WORK = "Choose a part of the file, a smaller height, or a faster codec such as h264."

CUT_OFF = "The file is cut off: its end is missing. Upload the whole file again."
_DAMAGED = "The file cannot be decoded: it is damaged, or is not the media file that it seems to be."
_MEMORY = f"The job needed more memory than allowed. {LESS_MEMORY}"
_TOO_LARGE = "An output became larger than a file may be. Choose a part of the input, or a lower quality."
_NO_SPACE = "The server's disk has no room for the output of this job."

# What messages of ffmpeg mean to users. The first match counts: the more exact ones come first.
MESSAGES: tuple[tuple[str, type[Failure], str], ...] = (
    ("No space left on device|Disk quota exceeded", NoRoom, _NO_SPACE),
    ("exceeds specified max pixel count|Picture size .* is invalid", UnfitMedia,
     f"The picture is larger than allowed: {MAX_PIXELS // 1_000_000} megapixels."),
    ("Format not on whitelist|is not on the whitelist|not on whitelist", BadMedia,
     "The file refers to other files, or has a format that Millrace does not read."),
    ("Cannot allocate memory|malloc of size|pthread_create|Resource temporarily unavailable|bad_alloc|MemoryError",
     ResourceLimit, _MEMORY),
    ("moov atom not found", BadMedia,
     "The file's index is missing: the file is cut off, or its recording was not finished."),
    ("Unknown input format", UnfitMedia, "The server's ffmpeg cannot read this format."),
    ("matches no streams", UnfitMedia, "The file has no stream of the requested kind."),
    ("Not yet implemented in FFmpeg", ToolFailed, "ffmpeg does not support this for the file. Choose another codec."),
    ("Invalid data found|Decode error rate|could not find codec parameters|could not seek to position", BadMedia,
     _DAMAGED),
)  # fmt: skip


class Problem(Enum):
    """Problems in the log that make a run a failure even if ffmpeg's exit code is 0."""

    LEAP = auto()  # timestamps went further at once than the command allows
    COPIES = auto()  # a steady rate needed more copies of one frame than ffmpeg makes
    PAUSE = auto()  # a pause needed more silence than memory can hold
    CUT_OFF = auto()  # the input ended before its last packet


# The pattern of each in the log, and the failure. If a log has several, the first one here counts.
PROBLEMS: dict[Problem, tuple[re.Pattern[str], type[Failure], str]] = {
    Problem.LEAP: (
        re.compile(r"\[warning\] [DP]TS .*\binvalid dropping\b"), BadMedia,
        f"The timestamps jump by more than {MAX_TIMESTAMP_GAP // 3600} hours: the file is damaged there. "
        "Choose a part before the jump by start and end."),
    Problem.COPIES: (
        re.compile("frame duplication too large"), UnfitMedia,
        "One frame lasts so long that it would be repeated more than "
        f"{MAX_FRAME_COPIES:,} times. Choose a lower fps, or leave fps out."),
    Problem.PAUSE: (
        re.compile("Failed to compensate for timestamp delta"), BadMedia,
        "A gap in the sound is too long to be filled with silence. Choose a part without it by start and end."),
    Problem.CUT_OFF: (
        re.compile(
            r"File ended prematurely|: partial file$|moov atom not found"
            # In a transport stream this is only a lost packet: ffmpeg reads on.
            r"|^\[in#\d+/(?!mpegts)\S+ @ \S+\] \[warning\] Packet corrupt \(stream"), BadMedia,
        CUT_OFF),
}  # fmt: skip

_ERROR = re.compile(r"\[(?:error|fatal|panic)\] (?P<message>.+)$")
# Errors that only say that something failed. An earlier one says why.
_VAGUE = re.compile(
    r"^(?:Error opening (?:input|output) files?\b|Task finished with error|Terminating thread|Conversion failed"
    r"|Nothing was written into output|Failed to configure|Error reinitializing|Error selecting"
    r"|Could not open encoder"
    r"|Error while (?:filtering|opening)|Error (?:submitting|sending|muxing|writing))"
)
_NOISE = "has not been used for any stream"  # of limits that every command sets, whatever the file has
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PATH = re.compile(r"(?<![\w./])(?:file:)?/(?:[^/\s'\":,]+/)+(?=[^/\s'\":,])")


def clean_text(text: str) -> str:
    """Remove characters that move the cursor, colour the screen or change the direction of text."""
    return _CONTROL.sub("", text)


class Log:
    """The last lines of a tool's error output, without the paths of this machine.

    `names` maps paths to the names that users see instead. Of any other path only the last part is kept.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.problems: set[Problem] = set()
        self.errors: deque[str] = deque(maxlen=20)  # messages without level and origin
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
        """The message that most likely names the cause; "" if there was no error."""
        exact = [message for message in self.errors if not _VAGUE.match(message)]
        return (exact or list(self.errors) or [""])[-1]

    def _add(self, raw: bytes) -> None:
        line = self._clean(raw.decode(errors="replace"))
        if not line or _NOISE in line:
            return
        self._lines.append(line)
        self.problems |= {problem for problem, (pattern, *_) in PROBLEMS.items() if pattern.search(line)}
        if found := _ERROR.search(line):
            self.errors.append(found["message"])

    def _clean(self, line: str) -> str:
        line = clean_text(line).rstrip()
        for path, name in self._names:
            line = line.replace(f"file:{path}", name).replace(path, name)
        return _PATH.sub("", line)


@dataclass(slots=True)
class ProcessResult:
    """How a process ended. `code` is its exit code; a negative one is a signal, as in subprocess."""

    code: int
    log: Log
    cpu_seconds: float = 0.0
    resident: int = 0  # bytes: the most that was seen
    address_space: int = 0


def failure_of(result: ProcessResult, limits: Limits) -> Failure | None:
    """Why the run failed; None if it succeeded. A run that left something out failed, whatever its exit code."""
    found = _failure_by_exit_code(result, limits) or _failure_by_log(result)
    if found is None and result.code:
        # ffmpeg does not always say that it was refused memory.
        found = ResourceLimit(_MEMORY) if _is_near_memory_limit(result, limits) else ToolFailed(_last_error(result))
    if found is not None:
        found.log = result.log.text
    return found


def known_failure(text: str) -> Failure | None:
    """What messages of ffmpeg's libraries mean, if MESSAGES has one of them."""
    return next((kind(detail) for pattern, kind, detail in MESSAGES if re.search(pattern, text)), None)


def _failure_by_exit_code(result: ProcessResult, limits: Limits) -> Failure | None:
    if result.code == 0:
        return None
    # ffmpeg catches SIGXCPU and ends with an exit code of its own, hence the look at the seconds.
    if result.code == -signal.SIGXCPU or result.cpu_seconds >= limits.cpu_seconds * _CPU_SHARE:
        return ResourceLimit(
            f"The job used more than {duration_text(limits.cpu_seconds)} of processor time. {LESS_WORK}"
        )
    if result.code == -signal.SIGXFSZ and limits.room < limits.file_size:
        return NoRoom(_NO_SPACE)
    if result.code == -signal.SIGXFSZ:
        return ResourceLimit(_TOO_LARGE)
    if result.code in {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGTRAP, -signal.SIGILL}:
        if _is_near_memory_limit(result, limits):
            return ResourceLimit(_MEMORY)
        return ToolFailed("ffmpeg crashed on this file. Choose other settings, such as another codec.")
    if result.code == -signal.SIGKILL:  # not by this process, which raises an exception when it kills
        return Internal("The process was killed from outside: the server may have run out of memory.")
    return None


def _is_near_memory_limit(result: ProcessResult, limits: Limits) -> bool:
    return result.address_space > limits.address_space * _MEMORY_SHARE


def _failure_by_log(result: ProcessResult) -> Failure | None:
    found = known_failure("\n".join(result.log.errors)) if result.code else None
    if found is not None and found.detail != _DAMAGED:
        return found
    problems = (PROBLEMS[problem][1:] for problem in PROBLEMS if problem in result.log.problems)
    return next((kind(detail) for kind, detail in problems), found)


def _last_error(result: ProcessResult) -> str:
    message = result.log.last_error[:_MAX_DETAIL]
    return f"ffmpeg failed: {message}" if message else f"ffmpeg failed with exit code {result.code}."
