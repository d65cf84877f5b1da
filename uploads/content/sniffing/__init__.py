"""Detect the media type of content from its first bytes. The file name and the client's Content-Type are ignored.

Content that is not media is refused before any of it is stored. Whether a file can be played is found out later, by
the probe in its sandbox.
"""

from dataclasses import dataclass
from enum import StrEnum

from .codecs import is_y4m
from .signature_checks import HEAD_SIZE, is_binary
from .signatures import MAGIC
from .streams import FRAMES, stream_type
from .subtitles import as_text, subtitle_type

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


# All names that `sniff` may return.
MEDIA_TYPES = frozenset(
    {row.name for row in MAGIC}
    | {name for name, *_ in FRAMES}
    | {"audio/mpeg", "video/mp2t", "video/x-yuv4mpeg"}
    | {"application/x-subrip", "text/vtt", "text/x-ass", "text/x-ssa"}
)

# Some media formats are recognised at any position (MXF after a run-in, MPEG streams cut within a packet). Content
# that begins like one of these is an archive, a program or an attack instead, whatever follows.
_NOT_MEDIA = (
    *(b"#extm3u", b"ffconcat", b"v=0\r", b"v=0\n"),  # playlists: ffmpeg would open other files
    *(b"<?xml", b"<!doctype", b"<html", b"<svg", b"<mpd", b"<script", b"%pdf", b"sqlite format 3"),
    *(b"#!", b"mz", b"\x7felf", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"),  # programs
    *(b"pk\x03\x04", b"pk\x05\x06", b"rar!\x1a", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"bzh", b"\xfd7zxz"),
)

# Accepted media: a set of kinds (`video`) and media types (`video/mp4`).
Accepted = frozenset[str]


def sniff(head: bytes) -> MediaType | None:
    """Return the type of the content that begins with `head`, or None if it is not media. Never raises."""
    head = head[:HEAD_SIZE]
    if _is_disguise(head):
        return None
    name = _tagged(head) if head.startswith(b"ID3") else _name(head)
    return MediaType(_kind(name), name) if name else None


def _kind(name: str) -> Kind:
    top = name.partition("/")[0]
    if top == "application":  # these types are registered or in use for video files
        return Kind.SUBTITLE if name == "application/x-subrip" else Kind.VIDEO
    return Kind.SUBTITLE if top == "text" else Kind(top)


def _name(head: bytes) -> str | None:
    # Checked before text: raw video of a single colour can be all printable characters.
    if head.startswith(b"YUV4MPEG2 "):
        return "video/x-yuv4mpeg" if is_y4m(head) else None
    if (
        not is_binary(head) and (text := as_text(head)) is not None
    ):  # text is never another format, whatever it begins with
        return subtitle_type(text)
    for row in MAGIC:
        if head.startswith(row.magic, row.offset) and row.check(head):
            return row.name
    return stream_type(head)


def _tagged(head: bytes) -> str | None:
    """Return the type of audio after ID3v2 tags, which may be padded with zeros."""
    at = _tags_size(head)
    rest = head[at:].lstrip(b"\0")
    if at and len(head) == HEAD_SIZE and len(rest) < 4096:
        # A cover picture often fills the whole head. ID3 tags are used for audio, most of it MPEG.
        return "audio/mpeg"
    name = _name(rest) if at else None
    return name if name and name.startswith("audio/") else None


def _tags_size(head: bytes) -> int:
    """Return the size of the ID3v2 tags at the beginning: there may be several."""
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
    """Parse the setting ACCEPT. None accepts any content. Raises ValueError for a word that no content can match."""
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
        raise ValueError(f"{word!r} is not a kind or media type that can be detected. Choose from: {known}")
    return word


def is_accepted(media: MediaType | None, accepted: Accepted) -> bool:
    return media is not None and not accepted.isdisjoint({media.kind, media.name})
