"""Make text from clients safe for a terminal: it may contain escape sequences, or characters that hide a part."""

import re

# Control characters except line feed and tab, also those above ASCII; marks that change the direction of writing, and
# line separators; surrogates, by which Python represents bytes that are not UTF-8.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINES = re.compile("[\t\n]")


def printable(text: str, *, one_line: bool = False) -> str:
    """Return the text with these characters written as Python escapes: ESC becomes `\\x1b`."""
    text = _UNSAFE.sub(_escape, text)
    return _LINES.sub(_escape, text) if one_line else text


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
