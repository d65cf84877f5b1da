"""Speech with known words and known pauses, made by espeak-ng."""

import array
import shutil
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pytest

from media_jobs.understanding.extras import SPEECH, SPEECH_TINY, installed

needs_speech = pytest.mark.skipif(
    shutil.which("espeak-ng") is None or not {SPEECH, SPEECH_TINY} <= set(installed()),
    reason='Transcripts need espeak-ng and make run EXTRAS="speech speech-tiny".',
)
SENTENCES = (
    "The ship left the harbour early in the morning.",
    "Nobody on the bridge had slept, and the wind was cold.",
    "We planted seven apple trees behind the old school.",
    "The doctor asked him to come back on Monday afternoon.",
    "Every window in the street was open that summer.",
    "My brother repairs bicycles in a small shop near the station.",
    "The river was high after three days of heavy rain.",
    "She put the letter on the table and closed the door.",
    "A good map is worth more than a fast horse.",
    "They cooked rice and beans for twenty hungry children.",
)
_QUIET = 100  # of 32768: what espeak-ng makes before and after its words is below


@dataclass(frozen=True)
class Spoken:
    path: Path
    words: list[str]
    spans: list[tuple[float, float]]  # in which a sentence is spoken


def speak(
    path: Path, sentences: int, pauses: Sequence[float], texts: Sequence[str] = SENTENCES, voice: str = "en-us"
) -> Spoken:
    """A WAV file with this number of sentences. The texts, and the pauses after them, repeat in this order."""
    voices = [_voice(path.parent / f"voice-{number}.wav", text, voice) for number, text in enumerate(texts)]
    rate = voices[0][0]
    sound, spans, words = array.array("h", bytes(2 * rate)), list[tuple[float, float]](), list[str]()
    for number, pause in zip(range(sentences), islice(cycle(pauses), sentences), strict=True):
        begin = len(sound) / rate
        sound.extend(voices[number % len(voices)][1])
        spans.append((begin, len(sound) / rate))
        words += plain_words(texts[number % len(texts)])
        sound.extend(array.array("h", bytes(2 * int(pause * rate))))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return Spoken(path, words, spans)


def _voice(path: Path, text: str, voice: str) -> tuple[int, "array.array[int]"]:
    """The rate, and the samples from the first to the last that can be heard."""
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(path), text], check=True)
    with wave.open(str(path)) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        rate = file.getframerate()
    loud = [number for number, sample in enumerate(samples) if abs(sample) > _QUIET]
    return rate, samples[loud[0] : loud[-1] + 1]


def plain_words(text: str) -> list[str]:
    """Lower-case words without punctuation, in one spelling."""
    spelt = "".join(letter for letter in text.lower() if letter.isalnum() or letter.isspace())
    return spelt.replace("harbour", "harbor").replace("20", "twenty").replace("7", "seven").split()


def word_errors(wanted: Sequence[str], found: Sequence[str]) -> float:
    """The word error rate: substitutions, insertions and omissions for each wanted word."""
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[:], number
        for place, other in enumerate(found, 1):
            row[place] = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (word != other))
    return row[-1] / max(1, len(wanted))
