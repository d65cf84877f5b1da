"""Sends the sound of a file to the speech engine, a minute at a time, and collects the words that it hears."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ffmpeg.command import Command, PipeTarget, Source
from ...ffmpeg.probing.media_facts import AudioStream
from ...understanding.engine import Engine
from ...understanding.speech import LONGEST, RATE
from ..base import Inference, Input
from .audio_filters import mono_samples
from .cues import Word, snapped
from .noted_pieces import NotedPieces
from .time_range import count_from_file, output_limit

_TIMEOUT = 1200.0  # seconds for a minute of sound: the largest models are slow
_LONGEST = 2 * LONGEST  # in bytes
_SAME_WORD = 0.7  # seconds that the times of a word may differ when it is heard twice
_MANY = "asetnsamples=n=16384:p=0"  # samples that ffmpeg writes at once


def speech_command(main: Input, sound: AudioStream, length: float | None, threads: int) -> Command:
    """At the rate of the model."""
    filters = [*mono_samples(RATE), _MANY]
    options = ("-map", f"0:{sound.index}", "-af", ",".join(filters), "-c:a", "pcm_s16le")
    source = Source(main.path, main.facts.format, count_from_file(main.facts, sound))
    target = PipeTarget("s16le", options)
    return Command([source], [target], threads=threads, max_duration=output_limit(length))


@dataclass(slots=True)
class Listener:
    inference: Inference
    engine: Engine
    language: str | None  # None until it is recognised
    kept: NotedPieces
    probability: float | None = None  # that this is the language, where it was recognised
    words: list[Word] = field(default_factory=list)
    heard: int = 0  # samples that the words are from
    resumed: bool = False
    _skip: int = 0  # bytes at the beginning that an earlier attempt has heard
    _buffer: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        for piece in self.kept.load():
            self._note(piece)
        self._skip, self.resumed = 2 * self.heard, self.heard > 0

    def feed(self, data: bytes) -> None:
        """A consumer for `Tools.decode`."""
        left_out = min(self._skip, len(data))
        self._skip -= left_out
        self._buffer += memoryview(data)[left_out:]
        while len(self._buffer) >= _LONGEST:
            self._hear(is_last=False)

    def finish(self) -> None:
        while len(self._buffer) >= 2:
            self._hear(is_last=True)

    def _hear(self, *, is_last: bool) -> None:
        """Send what the engine takes at a time. What it has not used stays, and is sent again with what follows."""
        sound = np.frombuffer(bytes(self._buffer[:_LONGEST]), "<i2", count=min(len(self._buffer), _LONGEST) // 2)
        request = {"language": self.language, "is_last": is_last and len(self._buffer) < _LONGEST}
        piece = self.inference.ask(self.engine, request, sound, timeout=_TIMEOUT)
        del self._buffer[: 2 * piece["used"]]
        self._note(piece)
        self.kept.add(piece)

    def _note(self, piece: Mapping[str, Any]) -> None:
        offset = self.heard / RATE
        words = [
            Word(round(offset + start, 3), round(offset + end, 3), text, probability)
            for start, end, text, probability in piece["words"]
        ]
        until = self.words[-1].end if self.words else 0.0
        speech = [
            (max(offset + start, until), offset + end) for start, end in piece["speech"] if offset + end > until
        ]
        self.words += snapped(self._without_known(words, offset), speech)
        self.heard += piece["used"]
        if self.language is None and piece["words"]:
            self.language, self.probability = piece["language"], piece["probability"]

    def _without_known(self, words: list[Word], offset: float) -> list[Word]:
        """The words after those that the piece before, which was cut without a pause, has given already."""
        if not self.words or (until := self.words[-1].end) <= offset:
            return words
        last = _letters(self.words[-1])
        again = [
            number
            for number, word in enumerate(words, 1)
            if _letters(word) == last and abs(word.end - until) <= _SAME_WORD
        ]
        if again:
            return words[min(again, key=lambda number: abs(words[number - 1].end - until)) :]
        return [word for word in words if (word.start + word.end) / 2 >= until]


def _letters(word: Word) -> str:
    return "".join(filter(str.isalnum, word.text.casefold()))
