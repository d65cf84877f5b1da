"""Text subtitles, told from any other text by parsing their beginning."""

import re

from .checks import CONTROL

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

_CONTROL = re.compile(CONTROL)
_SRT_TIME = r"-?\d{1,4}:\d{1,2}:\d{1,2}[,.]\d{1,3}"
_SRT = re.compile(rf"\d{{1,9}}[ \t]*\n[ \t]*{_SRT_TIME}[ \t]*-->[ \t]*{_SRT_TIME}(?!\d)")
_VTT_TIME = r"(?:\d{2,4}:)?[0-5]\d:[0-5]\d\.\d{3}"
_VTT_CUE = re.compile(rf"^{_VTT_TIME}[ \t]+-->[ \t]+{_VTT_TIME}(?:\s|$)", re.MULTILINE)
_ASS_BODY = re.compile(r"^(?:ScriptType:|\[V4\+? Styles\+?\]|\[Events\])", re.MULTILINE | re.IGNORECASE)
_ASS_PLUS = re.compile(r"^(?:ScriptType:[ \t]*v4\.00\+|\[V4\+ Styles\+?\])", re.MULTILINE | re.IGNORECASE)


def as_text(head: bytes) -> str | None:
    """The beginning of a text with LF line ends and without its BOM; None when this is no text."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            text = _decoded(head[len(bom) :], encoding)
            break
    else:
        # Latin-1 reads everything: the marks we look for are ASCII in every 8-bit encoding.
        text = _decoded(head, "utf-8") or head.decode("latin-1")
    if text is None or _CONTROL.search(text):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        # The head may end within a character (four bytes at most); anything earlier is a wrong encoding.
        if len(content) - error.start > 3:
            return None
        return content[: error.start].decode(encoding)


def subtitle_type(text: str) -> str | None:
    """The media type of subtitles that begin like this, or None for any other text."""
    text = text.lstrip("\n \t")
    if text.startswith("WEBVTT"):
        return "text/vtt" if _is_webvtt(text) else None
    if text[:13].lower() == "[script info]":
        return _script_type(text)
    return "application/x-subrip" if _SRT.match(text) else None


def _is_webvtt(text: str) -> bool:
    # The standard lets any words follow on the first line, so an essay on WebVTT may begin with the word:
    # only a cue, or nothing at all, makes it subtitles.
    header = text.partition("\n")[0]
    if header[6:7] not in ("", " ", "\t") or "-->" in header:
        return False
    return not text[6:].strip() or _VTT_CUE.search(text) is not None


def _script_type(text: str) -> str | None:
    if not _ASS_BODY.search(text):
        return None
    return "text/x-ass" if _ASS_PLUS.search(text) else "text/x-ssa"
