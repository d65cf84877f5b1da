"""What a file is, told from its first bytes alone: its name and what the client claims do not count.

This is the doorman, not the judge: it turns away what is no media before a block is stored, and names the
rest. Whether a file can be played is for the probe to find out, in its sandbox.
"""

from .disguises import is_disguise
from .frames import FRAMES
from .streams import stream_type
from .subtitles import as_text, subtitle_type
from .table import MAGIC
from .tags import tags_size
from .types import HEAD_SIZE, Kind, MediaType
from .video import is_y4m

__all__ = ["HEAD_SIZE", "MEDIA_TYPES", "Kind", "MediaType", "sniff"]

# Everything that `sniff` may answer with.
MEDIA_TYPES = frozenset(
    {row.name for row in MAGIC}
    | {name for name, *_ in FRAMES}
    | {"audio/mpeg", "video/mp2t", "video/x-yuv4mpeg"}
    | {"application/x-subrip", "text/vtt", "text/x-ass", "text/x-ssa"}
)


def sniff(head: bytes) -> MediaType | None:
    """The type of the content that begins with `head`; None when it is not media we accept. Never raises."""
    head = head[:HEAD_SIZE]
    if is_disguise(head):
        return None
    name = _tagged(head) if head.startswith(b"ID3") else _name(head)
    return MediaType(_kind(name), name) if name else None


def _kind(name: str) -> Kind:
    top = name.partition("/")[0]
    if top == "application":  # registered so, or used so, though what they hold is a picture with sound
        return Kind.SUBTITLE if name == "application/x-subrip" else Kind.VIDEO
    return Kind.SUBTITLE if top == "text" else Kind(top)


def _name(head: bytes) -> str | None:
    # Raw video of one flat colour can be printable throughout, so it is asked for before text is.
    if head.startswith(b"YUV4MPEG2 "):
        return "video/x-yuv4mpeg" if is_y4m(head) else None
    text = as_text(head)
    if text is not None:  # text never is anything else, whichever magic words it begins with
        return subtitle_type(text)
    for row in MAGIC:
        if head.startswith(row.magic, row.offset) and row.check(head):
            return row.name
    return stream_type(head)


def _tagged(head: bytes) -> str | None:
    """Sound behind ID3v2 tags, with zeros after them."""
    at = tags_size(head)
    rest = head[at:].lstrip(b"\0")
    if at and len(head) == HEAD_SIZE and len(rest) < 4096:
        # A cover picture often fills the whole head: nothing is left to judge, and a tag announces sound.
        return "audio/mpeg"
    name = _name(rest) if at else None
    return name if name and name.startswith("audio/") else None
