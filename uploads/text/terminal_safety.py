"""Text of strangers for a terminal: names and addresses may hold what a terminal obeys, or what hides a part."""

import re

# Control characters but line feed and tab, those of the upper half as well; marks that turn the direction of writing
# or break lines; halves of characters, by which Python stands for bytes that are no UTF-8.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINES = re.compile("[\t\n]")


def printable(text: str, *, one_line: bool = False) -> str:
    """The same with such characters written out, as Python does: an escape becomes `\\x1b`."""
    text = _OBEYED.sub(_written_out, text)
    return _LINES.sub(_written_out, text) if one_line else text


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
