"""A client's name for a file is data: refused where it could mean a place, cleaned where it only looks bad."""

import unicodedata

from ..errors import InvalidName

MAX_LENGTH = 255


def clean_name(raw: str) -> str:
    """The name as people will see it, or InvalidName."""
    if "\0" in raw:
        raise InvalidName("The file name holds a NUL character.")
    name = " ".join("".join(filter(_is_visible, unicodedata.normalize("NFC", raw))).split())
    if "/" in raw or "\\" in raw or name in {".", ".."}:
        raise InvalidName("The file name holds a path. Send the name alone.")
    if not name:
        raise InvalidName("The file has no name.")
    if len(name) > MAX_LENGTH:
        raise InvalidName(f"The file name has {len(name)} characters; {MAX_LENGTH} are allowed.")
    return name


def _is_visible(character: str) -> bool:
    # Control characters, and the format characters that can turn "exe.4pm" round on the screen, go; so do
    # halves of surrogate pairs, which no database stores. White space stays, to be folded.
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
