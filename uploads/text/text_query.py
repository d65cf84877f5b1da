"""What somebody searches for: words, "phrases" and beginnings*, which all have to occur in one text.

Nothing in the request is an operator but the quotation marks and the star, and nothing is an error.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .words import Word, plain, words_of

MOST_WORDS = 64  # the first ones count
_CHUNKS = re.compile(r'"([^"]*)(?:"(\*?)|$)|([^\s"]+)')
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))


@dataclass(frozen=True, slots=True)
class Term:
    """Words that follow each other. The last one may be the beginning of a word."""

    words: tuple[str, ...]
    is_beginning: bool = False

    def ends_at(self, words: Sequence[Word], first: int) -> int | None:
        """The number of the word behind it, if it stands at this place in a text."""
        behind = first + len(self.words)
        found = [word.text for word in words[first:behind]]
        if len(found) < len(self.words) or tuple(found[:-1]) != self.words[:-1]:
            return None
        last = self.words[-1]
        return behind if found[-1] == last or (self.is_beginning and found[-1].startswith(last)) else None


@dataclass(frozen=True, slots=True)
class TextQuery:
    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> "TextQuery":
        terms, left = [], MOST_WORDS
        for chunk in _CHUNKS.finditer(plain(text).translate(_QUOTES)):
            phrase, star, bare = chunk[1], chunk[2], chunk[3]
            words = tuple(word.text for word in words_of(bare or phrase or ""))[:left]
            if words:
                terms.append(Term(words, is_beginning=bool(star) or (bare or "").endswith("*")))
            left -= len(words)
            if not left:
                break
        return cls(tuple(dict.fromkeys(terms)))

    # Words are letters, digits and marks: no language of a database can take anything in them for its own.

    def as_fts5(self) -> str:
        """In the language of SQLite FTS5."""
        return " AND ".join(f'"{" ".join(term.words)}"{" *" if term.is_beginning else ""}' for term in self.terms)

    def as_tsquery(self) -> str:
        """In the language of PostgreSQL's full text search."""
        return " & ".join(
            "(" + " <-> ".join(f"'{word}'" for word in term.words) + (":*" if term.is_beginning else "") + ")"
            for term in self.terms
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a snippet, and whether it is what was searched for. Its text is somebody's: to be escaped."""

    text: str
    match: bool


@dataclass(frozen=True, slots=True)
class Snippet:
    parts: tuple[Part, ...]
    first: int  # where in the text the first match begins
    last: int  # where the last one ends


_BEFORE, _LONGEST = 60, 220  # characters


def snippet(text: str, query: TextQuery) -> Snippet:
    """The surroundings of the first match in a text that the query has found."""
    words = list(words_of(text))
    spans = sorted(
        (words[first].start, words[behind - 1].end)
        for term in query.terms
        for first in range(len(words))
        if (behind := term.ends_at(words, first)) is not None
    )
    first, last = (spans[0][0], max(end for _, end in spans)) if spans else (0, 0)
    begin, end = _window(text, words, *(spans[0] if spans else (0, 0)))
    parts = [Part("… ", match=False)] if begin else []
    at = begin
    for start, stop in spans:
        if at <= start and stop <= end:
            parts += [Part(text[at:start], match=False), Part(text[start:stop], match=True)]
            at = stop
    parts.append(Part(text[at:end], match=False))
    if end < len(text):
        parts.append(Part(" …", match=False))
    return Snippet(tuple(part for part in parts if part.text), first, last)


def _window(text: str, words: Sequence[Word], first: int, behind: int) -> tuple[int, int]:
    """What to show of a text around a match: whole words, and all of the match."""
    begin = 0
    if first > _BEFORE:
        begin = min((word.start for word in words if first - _BEFORE <= word.start <= first), default=first)
    if len(text) - begin <= _LONGEST:
        return begin, len(text)
    return begin, max([behind, *(word.end for word in words if word.end <= begin + _LONGEST)])
