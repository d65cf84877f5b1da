"""What a file is, told from its first bytes alone: its name and what the client claims do not count.

This is the doorman, not the judge: it turns away what is no media before a block is stored, and names the
rest. Whether a file can be played is for the probe to find out, in its sandbox.
"""

from dataclasses import dataclass
from enum import StrEnum

from .checks import HEAD_SIZE, is_binary
from .codecs import is_y4m
from .streams import FRAMES, stream_type
from .subtitles import as_text, subtitle_type
from .table import MAGIC

__all__ = ["HEAD_SIZE", "MEDIA_TYPES", "Accepted", "Kind", "MediaType", "is_accepted", "parse_accept", "sniff"]


class Kind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    SUBTITLE = "subtitle"


@dataclass(frozen=True, slots=True)
class MediaType:
    kind: Kind
    name: str


# Everything that `sniff` may answer with.
MEDIA_TYPES = frozenset(
    {row.name for row in MAGIC}
    | {name for name, *_ in FRAMES}
    | {"audio/mpeg", "video/mp2t", "video/x-yuv4mpeg"}
    | {"application/x-subrip", "text/vtt", "text/x-ass", "text/x-ssa"}
)

# Some formats may begin anywhere (MXF after a run-in, MPEG streams cut in the middle of a packet). What
# begins like one of these is not one of those, whatever comes later: it is a lure, an archive or a program.
_NOT_MEDIA = (
    *(b"#extm3u", b"ffconcat", b"v=0\r", b"v=0\n"),  # what makes ffmpeg open other files
    *(b"<?xml", b"<!doctype", b"<html", b"<svg", b"<mpd", b"<script", b"%pdf", b"sqlite format 3"),
    *(b"#!", b"mz", b"\x7felf", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"),  # programs
    *(b"pk\x03\x04", b"pk\x05\x06", b"rar!\x1a", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"bzh", b"\xfd7zxz"),
)

# Which media are taken: a set of kinds (`video`) and media types (`video/mp4`).
Accepted = frozenset[str]


def sniff(head: bytes) -> MediaType | None:
    """The type of the content that begins with `head`; None when it is not media we accept. Never raises."""
    head = head[:HEAD_SIZE]
    if _is_disguise(head):
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
    if (
        not is_binary(head) and (text := as_text(head)) is not None
    ):  # text never is anything else, whichever magic words it begins with
        return subtitle_type(text)
    for row in MAGIC:
        if head.startswith(row.magic, row.offset) and row.check(head):
            return row.name
    return stream_type(head)


def _tagged(head: bytes) -> str | None:
    """Sound behind ID3v2 tags, with zeros after them."""
    at = _tags_size(head)
    rest = head[at:].lstrip(b"\0")
    if at and len(head) == HEAD_SIZE and len(rest) < 4096:
        # A cover picture often fills the whole head: nothing is left to judge, and a tag announces sound.
        return "audio/mpeg"
    name = _name(rest) if at else None
    return name if name and name.startswith("audio/") else None


def _tags_size(head: bytes) -> int:
    """How many bytes the tags at the beginning take: several may follow each other."""
    at = 0
    for _ in range(8):
        at += _id3_size(head[at : at + 10])
    return at


def _id3_size(header: bytes) -> int:
    if len(header) < 10 or not header.startswith(b"ID3") or any(byte & 0x80 for byte in header[6:]):
        return 0
    a, b, c, d = header[6:]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if header[5] & 0x10 else 0)


def _is_disguise(head: bytes) -> bool:
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith(_NOT_MEDIA) and not start.startswith(b"#!amr")


def parse_accept(raw: str) -> Accepted | None:
    """None takes any content. ValueError names a word that content can never be found to be."""
    if raw == "*":
        return None
    return frozenset(_parse_word(word) for word in map(str.strip, raw.lower().split(",")) if word)


def _parse_word(word: str) -> str:
    kind = word.removesuffix("/*")
    if kind in {each.value for each in Kind}:
        return Kind(kind)
    if word not in MEDIA_TYPES:
        alike = sorted(name for name in MEDIA_TYPES if name.startswith(f"{word.partition('/')[0]}/"))
        known = ", ".join(alike or sorted(Kind))
        raise ValueError(f"{word!r} is no kind or media type that is told from content; there are: {known}")
    return word


def is_accepted(media: MediaType | None, accepted: Accepted) -> bool:
    return media is not None and not accepted.isdisjoint({media.kind, media.name})
