"""Transcripts: how right words and cues are, and the memory and processor time of hours, beside a bare loop.

The bare loop runs the same model over the same chunks in one process that has the whole sound in memory.
"""

import json
import math
import os
import subprocess
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Inference, Input, Work
from media_jobs.understanding.engine import Answer, Array, Engine
from media_jobs.understanding.extras import SPEECH, SPEECH_BASE, SPEECH_TINY, installed
from media_jobs.understanding.speech import RATE
from media_jobs.understanding.warm_helper import WarmHelper
from media_jobs.understanding.whisper_models import find_model
from tests.support.run import command_for, result_of
from tests.support.spoken_texts import Spoken, plain_words, speak, word_errors

from .jobs import Figure
from .jobs_live import FFMPEG
from .operation_run import Memory, cpu_seconds
from .spoken_languages import LANGUAGES

_MODEL, _THREADS = "tiny.en", 2
_PAUSES = (0.6, 1.0, 1.7, 0.5)
_SENTENCES = 150  # about ten minutes
_PROMISED_ERRORS, _PROMISED_USUAL, _PROMISED_WORST = 0.10, 0.3, 0.6
_PROMISED_MEMORY, _PROMISED_RATIO = 500.0, 1.1
_MB = 1e6


@dataclass
class _Noted:
    """An inference that notes how much sound each answer has used, and the memory at that time."""

    inner: Inference
    memory: Memory
    used: list[int] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def ask(self, engine: Engine, request: Mapping[str, Any], /, *arrays: Array, timeout: float = 600.0) -> Answer:
        answer = self.inner.ask(engine, request, *arrays, timeout=timeout)
        self.used.append(answer["used"])
        self.memory.look()
        self.megabytes.append(self.memory.now / _MB)
        return answer


def transcribe(source: str, folder: str, model: str = _MODEL) -> dict[str, Any]:
    """Run the operation as a worker does, without the database."""
    operation, path, sandbox, memory = get("transcribe"), Path(source), Sandbox.probe(), Memory()
    tools = Toolbox(find(), sandbox, Path(folder), _THREADS, memory.look, lambda report: None)
    before, helper = cpu_seconds(), WarmHelper(lambda: sandbox)
    with helper.lend("bench", _THREADS, lambda: None) as lent:
        inference = _Noted(lent, memory)
        main = Input(path, path.name, "audio", probe(path, sandbox))
        models = {SPEECH.name: model}
        operation.run(
            Work(parse(operation, {}), main, [], Path(folder), tools, _THREADS, inference=inference, models=models)
        )
    helper.end()
    return {
        "cpu": cpu_seconds() - before,
        "memory": memory.most / _MB,
        "used": inference.used,
        "megabytes": inference.megabytes,
    }


def bare_loop(source: str, used: list[int]) -> dict[str, float]:
    """The same model over the same chunks."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(_THREADS), "OMP_WAIT_POLICY": "PASSIVE"}
    before = cpu_seconds()
    from faster_whisper import WhisperModel

    command = [FFMPEG, "-nostdin", "-v", "error", "-i", source, "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    sound = np.frombuffer(raw, "<i2")
    folder = str(find_model(_MODEL).folder)
    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=_THREADS, local_files_only=True)
    at = 0
    for length in used:
        chunk = sound[at : at + length].astype(np.float32) / np.float32(32768)
        at += length
        segments, _ = model.transcribe(
            chunk, language="en", beam_size=1, word_timestamps=True, vad_filter=True, condition_on_previous_text=False
        )
        list(segments)
    return {"cpu": cpu_seconds() - before}


def measure(hours: float, scratch: Path) -> Iterator[Figure]:
    if not {SPEECH, SPEECH_TINY} <= set(installed()):
        yield Figure("transcripts", "not measured", beside='they need make bench EXTRAS="speech speech-tiny"')
        return
    scratch.mkdir()
    spoken = speak(scratch / "spoken.wav", _SENTENCES, _PAUSES)
    yield from _accuracy(spoken, scratch / "accuracy")
    yield from _hours(spoken, hours, scratch)
    if SPEECH_BASE in installed():
        yield from languages(scratch, "base")
    else:
        yield Figure("other languages", "not measured", beside='they need make bench EXTRAS="speech speech-base"')


def _accuracy(spoken: Spoken, folder: Path) -> Iterator[Figure]:
    _run(transcribe, spoken.path, folder)
    errors = word_errors(spoken.words, plain_words((folder / "transcript.txt").read_text()))
    yield Figure(
        "word error rate of 10 minutes", f"{errors:.3f}", f"{_PROMISED_ERRORS}", errors <= _PROMISED_ERRORS,
        f"{_MODEL}, {len(spoken.words)} words of espeak-ng", {"ratio": errors},
    )  # fmt: skip
    cues = json.loads((folder / "transcript.json").read_text())["cues"]
    for place, edge in enumerate(("start", "end")):
        missed = sorted(min(abs(cue[edge] - span[place]) for cue in cues) for span in spoken.spans)
        usual, worst = missed[math.ceil(0.95 * len(missed)) - 1], missed[-1]
        yield Figure(
            f"{edge}s of cues at pauses", f"95 % within {usual:.2f} s, worst {worst:.2f} s",
            f"{_PROMISED_USUAL} s, {_PROMISED_WORST} s", usual <= _PROMISED_USUAL and worst <= _PROMISED_WORST,
            numbers={"usual": usual, "worst": worst},
        )  # fmt: skip


def languages(scratch: Path, model: str) -> Iterator[Figure]:
    """Speech whose language is recognised."""
    for language, texts in LANGUAGES.items():
        spoken = speak(scratch / f"{language}.wav", 2 * len(texts), _PAUSES, texts, language)
        folder = scratch / language
        _run(transcribe, spoken.path, folder, model)
        recognised = json.loads((folder / "transcript.json").read_text())["language"]
        errors = word_errors(spoken.words, plain_words((folder / "transcript.txt").read_text()))
        yield Figure(
            f"word error rate in {language}", f"{errors:.3f}", "its language", recognised == language,
            f"{len(spoken.words)} words of espeak-ng, recognised as {recognised}", {"ratio": errors},
        )  # fmt: skip


def _hours(spoken: Spoken, hours: float, scratch: Path) -> Iterator[Figure]:
    long = scratch / "long.wav"
    with wave.open(str(spoken.path)) as source, wave.open(str(long), "wb") as target:
        target.setparams(source.getparams())
        frames, length = source.readframes(source.getnframes()), source.getnframes() / source.getframerate()
        for _ in range(max(1, round(hours * 3600 / length))):
            target.writeframes(frames)
    ours = _run(transcribe, long, scratch / "long")
    seconds = sum(ours["used"]) / RATE
    third = len(ours["megabytes"]) // 3
    early, late = (max(part) for part in (ours["megabytes"][:third], ours["megabytes"][-third:]))
    yield Figure(
        f"memory of {seconds / 3600:.1f} hours", f"{ours['memory']:.0f} MB", f"{_PROMISED_MEMORY:g} MB",
        ours["memory"] <= _PROMISED_MEMORY,
        f"operation, helper and ffmpeg, without Django; {early:.0f} MB in the first third, {late:.0f} MB in the last",
        {"megabytes": ours["memory"], "early": early, "late": late},
    )  # fmt: skip
    bare = _run(bare_loop, long, None, ours["used"])
    ratio = ours["cpu"] / bare["cpu"]
    yield Figure(
        "its processor time, beside a bare loop", f"{ratio:.2f} ×", f"{_PROMISED_RATIO} ×", ratio <= _PROMISED_RATIO,
        f"{ours['cpu']:.0f} and {bare['cpu']:.0f} CPU s, {seconds / ours['cpu']:.0f} s of speech in a CPU s",
        {"ratio": ratio, "seconds": ours["cpu"]},
    )  # fmt: skip


def _run(function: Any, source: Path, folder: Path | None, *more: Any) -> dict[str, Any]:
    words: list[Any] = [str(source), *more]
    if folder is not None:
        folder.mkdir(mode=0o700)
        words.insert(1, str(folder))
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        command_for(function, *words), capture_output=True, text=True, check=True, env=environment
    )  # fmt: skip
    found: dict[str, Any] = result_of(done.stdout)
    return found
