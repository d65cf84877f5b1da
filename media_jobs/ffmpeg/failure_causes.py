"""Why a run of ffmpeg ended as it did, in words for whoever owns the file."""

import re
import signal

from ..errors import BadMedia, Failure, Internal, NoRoom, ResourceLimit, ToolFailed, UnfitMedia
from .command import LARGEST_LEAP, MOST_COPIES
from .process import Ended
from .sandbox import Limits
from .stderr_log import Sign

CUT_OFF = "The file is cut off: it ends in the middle. Upload it again, whole."
_DAMAGED = "The file is damaged, or not what it says it is: it cannot be decoded."
_MEMORY = "It needed more memory than allowed."
_NO_ROOM = "There is no room on the disk for what this job makes."
_NEARLY = 0.9
_NEARLY_ALL_MEMORY = 0.7  # seen ten times a second: the last step to the limit is missed
_LONGEST_WORDS = 300

# What ffmpeg's errors mean to people. The first that is found counts; the more exact ones come first.
_MEANINGS: tuple[tuple[str, type[Failure], str], ...] = (
    ("No space left on device|Disk quota exceeded", NoRoom, _NO_ROOM),
    ("exceeds specified max pixel count|Picture size .* is invalid", UnfitMedia,
     "Its picture is larger than allowed."),
    ("Format not on whitelist|is not on the whitelist|not on whitelist", BadMedia,
     "The file refers to other files, or is of a kind that is not read here."),
    ("Cannot allocate memory|malloc of size|pthread_create|Resource temporarily unavailable|bad_alloc|MemoryError",
     ResourceLimit, _MEMORY),
    ("moov atom not found", BadMedia,
     "The film's index is missing: the file is cut off, or its recording was never finished."),
    ("Unknown input format", UnfitMedia, "This ffmpeg cannot read files of this kind."),
    ("matches no streams", UnfitMedia, "The file has no stream of the kind that was asked for."),
    ("Not yet implemented in FFmpeg", ToolFailed, "ffmpeg cannot do this with the file yet. Another codec may."),
    ("Invalid data found|Decode error rate|could not find codec parameters|could not seek to position", BadMedia,
     _DAMAGED),
)  # fmt: skip

# What people are told whatever the exit code was. The first that was seen counts.
_SIGNS: dict[Sign, tuple[type[Failure], str]] = {
    Sign.LEAP: (BadMedia, f"Its timestamps leap by more than {LARGEST_LEAP // 3600} hours, where it is damaged. "
                "Choose a part before that, by start and end."),
    Sign.COPIES: (UnfitMedia, "A picture in it stands still for so long that it would be repeated more than "
                  f"{MOST_COPIES:,} times. Ask for fewer frames a second, or leave fps out."),
    Sign.PAUSE: (BadMedia, "A pause in its sound is too long to be filled with silence."),
    Sign.CUT_OFF: (BadMedia, CUT_OFF),
}  # fmt: skip


def failure(ended: Ended, limits: Limits) -> Failure | None:
    """None, if it did what it was asked to. A run that left something out has not, whatever its exit code."""
    found = _by_signal(ended, limits) or _by_words(ended)
    if found is None and ended.code:
        # Who is refused memory does not always say so.
        found = ResourceLimit(_MEMORY) if _is_near_limit(ended, limits) else ToolFailed(_last_words(ended))
    if found is not None:
        found.log = ended.log.text
    return found


def _by_signal(ended: Ended, limits: Limits) -> Failure | None:
    if ended.code == 0:
        return None
    # ffmpeg catches SIGXCPU and ends with a code of its own. The seconds tell; the kernel counts them in two ways.
    if ended.code == -signal.SIGXCPU or ended.cpu_seconds >= limits.cpu_seconds * _NEARLY:
        return ResourceLimit(f"It used more than {limits.cpu_seconds:,} seconds of processor time.")
    if ended.code == -signal.SIGXFSZ and limits.room < limits.file_size:
        return NoRoom(_NO_ROOM)
    if ended.code == -signal.SIGXFSZ:
        return ResourceLimit("What it wrote became larger than a file may be here.")
    if ended.code in {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGTRAP, -signal.SIGILL}:
        if _is_near_limit(ended, limits):
            return ResourceLimit(_MEMORY)
        return ToolFailed("ffmpeg crashed on this file.")
    if ended.code == -signal.SIGKILL:  # not by us: we raise instead
        return Internal("It was killed from outside. The machine may have run out of memory.")
    return None


def _is_near_limit(ended: Ended, limits: Limits) -> bool:
    return ended.address_space > limits.address_space * _NEARLY_ALL_MEMORY


def _by_words(ended: Ended) -> Failure | None:
    found = meaning("\n".join(ended.log.errors)) if ended.code else None
    if found is not None and found.detail != _DAMAGED:
        return found
    return next((kind(words) for sign, (kind, words) in _SIGNS.items() if sign in ended.log.signs), found)


def meaning(said: str) -> Failure | None:
    """Of what ffmpeg's libraries say, if it is known."""
    return next((kind(words) for pattern, kind, words in _MEANINGS if re.search(pattern, said)), None)


def _last_words(ended: Ended) -> str:
    said = ended.log.last_error[:_LONGEST_WORDS]
    return f"ffmpeg failed: {said}" if said else f"ffmpeg failed with code {ended.code}."
