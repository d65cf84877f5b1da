"""File names that clients send: refused if they contain a path, cleaned of invisible characters."""

import unicodedata

from ..errors import InvalidName

MAX_LENGTH = 255


def clean_name(raw: str) -> str:
    """Return the name as it is stored and shown. Raises InvalidName."""
    if "\0" in raw:
        raise InvalidName("The file name contains a NUL character.")
    name = visible_text(raw)
    if "/" in raw or "\\" in raw or name in {".", ".."}:
        raise InvalidName("The file name contains a path. Send the name alone.")
    if not name:
        raise InvalidName("The file has no name.")
    if len(name) > MAX_LENGTH:
        raise InvalidName(f"The file name has {len(name)} characters. At most {MAX_LENGTH} are allowed.")
    return name


def visible_text(raw: str) -> str:
    """The visible characters of a name, with single spaces between words."""
    return " ".join("".join(filter(_is_visible, unicodedata.normalize("NFC", raw))).split())


def _is_visible(character: str) -> bool:
    # Not visible: control characters; format characters, which can reverse "exe.4pm" on the screen; and halves of
    # surrogate pairs, which databases cannot store. White space stays: the caller folds it.
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
