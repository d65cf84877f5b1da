"""The words of a text, for search: one rule for all languages, and for what is searched and what is asked alike.

Both databases get the words as they are here, and split or fold nothing themselves. So they find the same.

- Case, accents and the forms of letters do not count: “Straße” is “strasse”, “Œuvre” is “oeuvre”.
- A word is letters and digits, with the marks that belong to them. All else stands between words.
- Chinese, Japanese, Thai, Lao, Khmer, Burmese and Tibetan have no spaces between words: each character is a word.
  What is asked in them is a phrase of characters, so that any part of a text is found.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

LONGEST_WORD = 64  # characters: of a longer one, the beginning counts
_BETWEEN = " "
_ASCII_WORDS = re.compile(r"[A-Za-z0-9]+")
# What Unicode takes for letters of their own, and people write with others where their keyboard lacks them.
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ð": "d", "þ": "th", "ŧ": "t"}
)
# Combining classes of marks that are accents, vowel points or harakat. The others are parts of syllables.
_POINTS, _ACCENTS = range(10, 37), 200
_WITHOUT_SPACES = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Tibetan, Burmese, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u312f\u31a0-\u31ff"  # radicals, Hiragana, Katakana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "]"
)


@dataclass(frozen=True, slots=True)
class Word:
    text: str  # folded
    start: int  # in the text that it is from
    end: int


def plain(text: str) -> str:
    """A text as it is stored: composed, without NUL and halves of surrogate pairs, which databases refuse."""
    return unicodedata.normalize("NFC", text.encode(errors="replace").decode()).replace("\0", " ")


def words_of(text: str) -> Iterator[Word]:
    """The words of a text that is `plain`, in its order."""
    if text.isascii():
        for found in _ASCII_WORDS.finditer(text):
            yield Word(found[0].lower()[:LONGEST_WORD], found.start(), found.end())
        return
    letters: list[str] = []
    start = end = 0
    for position, character in enumerate(text):
        for one in _folded(character):
            is_whole = _WITHOUT_SPACES.match(one)
            if letters and (is_whole or one == _BETWEEN):
                yield Word("".join(letters)[:LONGEST_WORD], start, end)
                letters = []
            if is_whole:
                yield Word(one, position, position + 1)
            elif one != _BETWEEN:
                if not letters:
                    start = position
                letters.append(one)
                end = position + 1
    if letters:
        yield Word("".join(letters)[:LONGEST_WORD], start, end)


@lru_cache(maxsize=20_000)
def _folded(character: str) -> str:
    """What a character is in words. A space if it stands between words; "" for an accent on its own."""
    bare = unicodedata.normalize("NFKC", character).casefold().translate(_LETTERS)
    decomposed = unicodedata.normalize("NFKD", bare)
    kept = unicodedata.normalize("NFC", "".join(filter(_counts, decomposed)))
    return "".join(one if unicodedata.category(one)[0] in "LNM" else _BETWEEN for one in kept)


def _counts(character: str) -> bool:
    kind = unicodedata.combining(character)
    return kind not in _POINTS and kind < _ACCENTS and unicodedata.category(character) != "Cf"
