"""Subtitle cues out of words with times: at the edges of speech, short enough to be read, and as SRT and WebVTT."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from textwrap import wrap

LINE, LINES = 42, 2  # characters of a line, and lines of a cue
LONGEST, SHORTEST = 7.0, 1.0  # seconds that a cue is shown
_PAUSE = 0.3  # seconds without speech that begin a new cue
_PARAGRAPH = 2.0  # and a new paragraph of the plain text
_NEAR = 0.6  # seconds that a word's time may be wrong: further away it does not belong to that speech
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ",", ";", ":", "、", "，")


@dataclass(frozen=True, slots=True)
class Word:
    start: float
    end: float
    text: str  # with the space before it, where the language has spaces
    probability: float


Span = tuple[float, float]


def snapped(words: Sequence[Word], speech: Sequence[Span]) -> list[Word]:
    """The words with times inside the speech that they belong to; its first and last word begin and end with it.

    Whisper's times are wrong by up to half a second at pauses. The voice detector's are not.
    """
    groups: dict[int, list[Word]] = {}
    for word in words:
        groups.setdefault(_nearest(word, speech), []).append(word)
    found = []
    for number, group in groups.items():
        found += group if number < 0 else _fitted(group, *speech[number])
    return sorted(found, key=lambda word: word.start)


def _nearest(word: Word, speech: Sequence[Span]) -> int:
    """The number of the speech that a word is in, or -1."""
    middle = (word.start + word.end) / 2
    distances = [max(start - middle, middle - end, 0.0) for start, end in speech]
    best = min(range(len(speech)), key=distances.__getitem__, default=-1)
    return best if best >= 0 and distances[best] <= _NEAR else -1


def _fitted(words: Sequence[Word], start: float, end: float) -> list[Word]:
    inside = [
        replace(word, start=min(max(word.start, start), end), end=max(min(word.end, end), start)) for word in words
    ]
    inside[0] = replace(inside[0], start=start)
    inside[-1] = replace(inside[-1], end=end)
    return inside


@dataclass(frozen=True, slots=True)
class Cue:
    start: float
    end: float
    words: Sequence[Word]

    @classmethod
    def of(cls, words: Sequence[Word]) -> "Cue":
        start = words[0].start
        return cls(start, min(max(words[-1].end, start), start + LONGEST), words)

    @property
    def text(self) -> str:
        return " ".join("".join(word.text for word in self.words).split())

    @property
    def lines(self) -> list[str]:
        """Two lines of about equal length, if the text does not fit into one."""
        text = self.text
        if len(text) <= LINE:
            return [text]
        balanced = next(
            (lines for width in range(len(text) // 2, LINE) if len(lines := wrap(text, width)) <= LINES), None
        )
        return balanced or wrap(text, LINE)

    @property
    def fits(self) -> bool:
        return len(self.lines) <= LINES and self.words[-1].end - self.start <= LONGEST

    @property
    def seconds(self) -> float:
        return self.end - self.start


def cues_of(words: Iterable[Word]) -> list[Cue]:
    """Cues in the order of time that do not overlap."""
    cues = [cue for run in _runs(words) for cue in _halved(run)]
    return _shown_long_enough(_joined(cues))


def _runs(words: Iterable[Word]) -> Iterator[list[Word]]:
    """Words without a pause and without the end of a sentence between them."""
    run: list[Word] = []
    for word in words:
        if run and (word.start - run[-1].end >= _PAUSE or run[-1].text.endswith(_SENTENCE_ENDS)):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _halved(words: Sequence[Word]) -> Iterator[Cue]:
    """Split what is too long near its middle: after a comma, or where the speaker is slowest."""
    cue = Cue.of(words)
    if cue.fits or len(words) == 1:
        yield cue
        return
    middle = (words[0].start + words[-1].end) / 2
    half = max(0.1, (words[-1].end - words[0].start) / 2)

    def merit(number: int) -> float:
        before, after = words[number - 1], words[number]
        clause = 0.4 * before.text.endswith(_CLAUSE_ENDS)
        return clause + min(0.3, after.start - before.end) - abs(after.start - middle) / half

    best = max(range(1, len(words)), key=merit)
    yield from _halved(words[:best])
    yield from _halved(words[best:])


def _joined(cues: Sequence[Cue]) -> list[Cue]:
    """Join a cue that would be too short with the one after it, or before it, if no pause is between them."""
    found: list[Cue] = []
    for cue in cues:
        if found and min(found[-1].seconds, cue.seconds) < SHORTEST and cue.start - found[-1].end < _PAUSE:
            both = Cue.of([*found[-1].words, *cue.words])
            if both.fits:
                found[-1] = both
                continue
        found.append(cue)
    return found


def _shown_long_enough(cues: Sequence[Cue]) -> list[Cue]:
    """Show short cues for a second: longer than their words last, and if need be, from earlier on."""
    found: list[Cue] = []
    for number, cue in enumerate(cues, 1):
        after = cues[number].start if number < len(cues) else float("inf")
        end = min(max(cue.end, cue.start + SHORTEST), after) if cue.seconds < SHORTEST else min(cue.end, after)
        earliest = found[-1].end if found else 0.0
        start = max(min(cue.start, end - SHORTEST), earliest) if end - cue.start < SHORTEST else cue.start
        found.append(replace(cue, start=start, end=max(end, start)))
    return found


def srt(cues: Iterable[Cue]) -> Iterator[str]:
    for number, cue in enumerate(cues, 1):
        text = "\n".join(cue.lines)
        yield f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{text}\n\n"


def webvtt(cues: Iterable[Cue]) -> Iterator[str]:
    yield "WEBVTT\n\n"
    for cue in cues:
        text = escape("\n".join(cue.lines), quote=False)
        yield f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{text}\n\n"


def plain_text(cues: Sequence[Cue]) -> Iterator[str]:
    """Paragraphs, one on each line."""
    for number, cue in enumerate(cues):
        if number:
            yield "\n" if cue.start - cues[number - 1].end >= _PARAGRAPH else " "
        yield cue.text
    yield "\n"


def clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"
