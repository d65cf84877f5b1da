"""Which texts are those of number plates."""

import re
import unicodedata

_LONGEST = 16
# Without a pattern of the user's. Signs and cameras show words with a number after them, and numbers with a unit:
# "EXIT 24", "CAM 01", "50 km/h".
_FEWEST, _MOST = 5, 10
_WORD = re.compile(r"\b[^\W\d_]{4,}(?=\s)")
_SIGN = re.compile(r"[^\W\d_]{4,}\d{1,2}|(CAM|MAX|MIN|BUS|BAY|LOT)\d{1,3}|\d{1,4}(KM|KMH|MPH|YDS|MILES)")


def plate_text(read: str) -> str:
    """Its letters, as capitals, and digits: plates are written with spaces, hyphens or dots, or without."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", read).upper() if letter.isalnum())


def is_plate(read: str, pattern: re.Pattern[str] | None) -> bool:
    text = plate_text(read)
    if len(text) > _LONGEST:
        return False
    if pattern is not None:
        return pattern.fullmatch(text) is not None
    digits = sum(letter.isdigit() for letter in text)
    is_sign = _WORD.search(read.strip()) or _SIGN.fullmatch(text)
    return _FEWEST <= len(text) <= _MOST and 2 <= digits < len(text) and not is_sign
