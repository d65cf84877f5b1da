"""Recognise text subtitles by parsing their beginning."""

import re

from .signature_checks import CONTROL

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

_CONTROL = re.compile(CONTROL)
_SRT_TIME = r"-?\d{1,4}:\d{1,2}:\d{1,2}[,.]\d{1,3}"
_SRT = re.compile(rf"\d{{1,9}}[ \t]*\n[ \t]*{_SRT_TIME}[ \t]*-->[ \t]*{_SRT_TIME}(?!\d)")
_VTT_TIME = r"(?:\d{2,4}:)?[0-5]\d:[0-5]\d\.\d{3}"
_VTT_CUE = re.compile(rf"^{_VTT_TIME}[ \t]+-->[ \t]+{_VTT_TIME}(?:\s|$)", re.MULTILINE)
_ASS_BODY = re.compile(r"^(?:ScriptType:|\[V4\+? Styles\+?\]|\[Events\])", re.MULTILINE | re.IGNORECASE)
_ASS_PLUS = re.compile(r"^(?:ScriptType:[ \t]*v4\.00\+|\[V4\+ Styles\+?\])", re.MULTILINE | re.IGNORECASE)


def as_text(head: bytes) -> str | None:
    """Decode the head as text with LF line ends and without its BOM. None if it is not text."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            text = _decoded(head[len(bom) :], encoding)
            break
    else:
        # Latin-1 decodes any bytes. The characters that the checks look for are ASCII in every 8-bit encoding.
        text = _decoded(head, "utf-8") or head.decode("latin-1")
    if text is None or _CONTROL.search(text):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        # The head may end within a character of up to four bytes. An earlier error means another encoding.
        if len(content) - error.start > 3:
            return None
        return content[: error.start].decode(encoding)


def subtitle_type(text: str) -> str | None:
    """Return the media type of subtitles that begin with this text. None if it is other text."""
    text = text.lstrip("\n \t")
    if text.startswith("WEBVTT"):
        return "text/vtt" if _is_webvtt(text) else None
    if text[:13].lower() == "[script info]":
        return _script_type(text)
    return "application/x-subrip" if _SRT.match(text) else None


def _is_webvtt(text: str) -> bool:
    # The standard allows any text after the word on the first line, so an essay on WebVTT may begin like this.
    # It is a subtitle file if it has a cue, or nothing else.
    header = text.partition("\n")[0]
    if header[6:7] not in ("", " ", "\t") or "-->" in header:
        return False
    return not text[6:].strip() or _VTT_CUE.search(text) is not None


def _script_type(text: str) -> str | None:
    if not _ASS_BODY.search(text):
        return None
    return "text/x-ass" if _ASS_PLUS.search(text) else "text/x-ssa"
