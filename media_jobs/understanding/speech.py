"""The engine `speech`: words with their times, by Whisper (faster-whisper) and the voice detector that it includes.

The caller sends up to a minute of sound at a time. The answer says how much of it was used: the rest, after the last
pause, is to be sent again with what follows it. So nothing is cut inside a word, and no state is kept. Where there is
no pause, the last words of the answer lie in that rest, too: the words after them are understood in their context.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Answer, Array, CannotAnswer, Engine
from .whisper_models import WhisperFolder

RATE = 16_000  # samples a second, of one channel
LONGEST = 60 * RATE  # samples of a request
_EARLIEST_CUT = 20 * RATE  # what comes before it is context for the words after it
_PAUSES = (300, 200)  # milliseconds that a pause lasts to be cut in; the second if there is none of the first kind
# Where there is no pause: a cut between two words that are both well inside what was heard.
_SEAM = (8.0, 1.5)  # seconds before the end
_OVERLAP = 1.5  # seconds before such a cut that are heard again
Sound = NDArray[np.float32]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer, with times in seconds from the first sample."""

    used: int  # samples; less than the words reach, if there was no pause
    language: str | None  # None: there was no speech to tell it from
    probability: float
    speech: Sequence[Span]  # where somebody speaks, to 0.1 s
    words: Sequence[tuple[float, float, str, float]]  # start, end, text with the space before it, probability


class SpeechEngine:
    def __init__(self, model: Any) -> None:
        self._model = model

    def answer(self, request: Mapping[str, Any], arrays: Sequence[Array], /) -> Answer:
        sound = arrays[0].astype(np.float32) / np.float32(32768)
        language = request["language"]
        self._check_language(language)
        return asdict(self._hear(sound, language, is_last=request["is_last"]))

    def _check_language(self, language: str | None) -> None:
        if language is None or language in (known := self._model.supported_languages):
            return
        if known == ["en"]:
            raise CannotAnswer(
                "The model that is installed knows English only. Leave out the language, or choose en."
            )
        raise CannotAnswer(
            f"The model does not know the language “{language}”. It knows: {', '.join(sorted(known))}."
        )

    def _hear(self, sound: Sound, language: str | None, *, is_last: bool) -> Heard:
        speech = _speech(sound, _PAUSES[0])
        if not speech:
            return Heard(len(sound), None, 0.0, [], [])
        cut = len(sound) if is_last else _pause_to_cut_in(sound, speech)
        heard = self._transcribe(sound[:cut], language, speech)
        if cut is not None:
            return heard
        return _cut_between_words(heard, len(sound))

    def _transcribe(self, sound: Sound, language: str | None, speech: Sequence[Span]) -> Heard:
        end = len(sound) / RATE
        spans = [(start, min(stop, end)) for start, stop in speech if start < end]
        if not spans:  # all of it comes after the cut
            return Heard(len(sound), None, 0.0, [], [])
        segments, info = self._model.transcribe(
            sound, language=language, beam_size=1, word_timestamps=True, vad_filter=True,
            condition_on_previous_text=False,
        )  # fmt: skip
        words = [
            (round(float(word.start), 3), round(float(word.end), 3), word.word, round(float(word.probability), 3))
            for segment in segments
            for word in segment.words or ()
        ]
        return Heard(len(sound), info.language, round(float(info.language_probability), 3), spans, words)


def _speech(sound: Sound, pause: int) -> list[Span]:
    """Where somebody speaks. Pauses shorter than `pause` milliseconds count as speech."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    found = get_speech_timestamps(sound, VadOptions(min_silence_duration_ms=pause, speech_pad_ms=0))
    return [(span["start"] / RATE, span["end"] / RATE) for span in found]


def _pause_to_cut_in(sound: Sound, speech: Sequence[Span]) -> int | None:
    """The sample in the middle of the last pause that is far enough from the beginning."""
    for pause in _PAUSES:
        spans = speech if pause == _PAUSES[0] else _speech(sound, pause)
        ends = [start for start, _ in spans[1:]] + [len(sound) / RATE]
        for (_, begin), end in reversed(list(zip(spans, ends, strict=True))):
            middle = round((begin + end) / 2 * RATE)
            if end - begin >= pause / 1000 and middle >= _EARLIEST_CUT:
                return middle
    return None


def _cut_between_words(heard: Heard, length: int) -> Heard:
    """Give the words up to the longest gap between two of them near the end. Those after it are heard again."""
    early, late = (length / RATE - seconds for seconds in _SEAM)
    gaps = [
        (after[0] - before[1], number)
        for number, (before, after) in enumerate(zip(heard.words, heard.words[1:], strict=False), 1)
        if early <= before[1] and after[0] <= late
    ]
    if not gaps:  # it sounds like speech, and has no words: music, for example
        return heard
    _, number = max(gaps)
    cut = (heard.words[number - 1][1] + heard.words[number][0]) / 2
    spans = [(start, min(end, cut)) for start, end in heard.speech if start < cut]
    used = max(start for start, *_ in heard.words[:number] if start <= cut - _OVERLAP)
    return Heard(round(used * RATE), heard.language, heard.probability, spans, heard.words[:number])


def load(folder: str, *, threads: int) -> SpeechEngine:
    from faster_whisper import WhisperModel

    try:
        model = WhisperModel(
            folder, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )  # fmt: skip
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, RuntimeError) and "bad_alloc" in str(error):
            raise
        raise CannotAnswer(
            "The Whisper model cannot be loaded: its files are damaged or of another format."
        ) from error
    return SpeechEngine(model)


def speech_engine(found: WhisperFolder) -> Engine:
    return Engine(__name__, (str(found.folder),), found.files)
