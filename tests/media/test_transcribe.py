"""The operation transcribe, with the real Whisper tiny.en, on speech whose words and pauses are known."""

import json
import math
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import Failure, InferenceFailed, OperationUnavailable, UnfitMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.progress import Report
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Inference, Input, Outcome, Work
from media_jobs.understanding.engine import Answer, Array, Engine
from media_jobs.understanding.warm_helper import WarmHelper
from tests.support.spoken_texts import Spoken, needs_speech, plain_words, speak, word_errors

from ..support.troubled_clips import AAC, X264, ffmpeg

pytestmark = needs_speech


@dataclass
class Counted:
    """An inference that ends after some requests, as a killed helper would."""

    inner: Inference
    most: int = 10_000
    requests: int = 0

    def ask(self, engine: Engine, request: Mapping[str, Any], /, *arrays: Array, timeout: float = 600.0) -> Answer:
        if self.requests >= self.most:
            raise InferenceFailed("killed")
        self.requests += 1
        return self.inner.ask(engine, request, *arrays, timeout=timeout)


@dataclass
class Transcript:
    outcome: Outcome
    reports: list[Report]
    requests: int
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts["transcript.json"])
        return found

    @property
    def words(self) -> list[str]:
        return plain_words(self.texts["transcript.txt"])


Transcribe = Callable[..., Transcript]


@pytest.fixture(scope="module")
def transcribe(helper: WarmHelper, tmp_path_factory: pytest.TempPathFactory) -> Transcribe:
    def run(
        path: Path, model: str = "tiny.en", notes: dict[str, dict[str, Any]] | None = None, most: int = 10_000,
        **params: Any,
    ) -> Transcript:  # fmt: skip
        folder, reports, sandbox = tmp_path_factory.mktemp("work"), list[Report](), helper.sandbox()
        tools, operation = Toolbox(find("wheel"), sandbox, folder, 2, lambda: None, reports.append), get("transcribe")
        with helper.lend("alice", 2, lambda: None) as lent:
            inference = Counted(lent, most)
            main = Input(path, path.name, "audio", tools.probe(path))
            kept = {} if notes is None else notes
            work = Work(
                parse(operation, params), main, [], folder, tools, 2, kept, inference, {"speech": model}
            )  # fmt: skip
            outcome = operation.run(work)
        for output in outcome.outputs:
            tools.verify(output.path, output.expected)
        texts = {output.name: output.path.read_text() for output in outcome.outputs}
        return Transcript(outcome, reports, inference.requests, texts)

    return run


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    return speak(tmp_path_factory.mktemp("spoken") / "spoken.wav", 30, (0.6, 1.0, 1.7))


@pytest.fixture(scope="module")
def transcript(transcribe: Transcribe, spoken: Spoken) -> Transcript:
    return transcribe(spoken.path)


def test_the_words_are_right(transcript: Transcript, spoken: Spoken) -> None:
    assert word_errors(spoken.words, transcript.words) <= 0.10
    found = transcript.json
    assert (found["version"], found["model"], found["language"]) == (1, "tiny.en", "en")
    assert found["duration"] == pytest.approx(spoken.spans[-1][1] + 1.7, abs=0.1)
    assert transcript.requests > 1


def test_cues_begin_and_end_with_the_speech(transcript: Transcript, spoken: Spoken) -> None:
    cues = transcript.json["cues"]
    starts = [min(abs(cue["start"] - start) for cue in cues) for start, _ in spoken.spans]
    ends = [min(abs(cue["end"] - end) for cue in cues) for _, end in spoken.spans]
    for errors in (sorted(starts), sorted(ends)):
        assert errors[math.ceil(0.95 * len(errors)) - 1] <= 0.3
        assert errors[-1] <= 0.6


def test_cues_can_be_read(transcript: Transcript) -> None:
    cues = transcript.json["cues"]
    assert all(1.0 <= round(cue["end"] - cue["start"], 3) <= 7.0 for cue in cues)
    assert all(cue["end"] <= after["start"] for cue, after in pairwise(cues))
    blocks = transcript.texts["transcript.srt"].strip().split("\n\n")
    assert len(blocks) == len(cues)
    for number, block in enumerate(blocks, 1):
        first, times, *lines = block.split("\n")
        assert first == str(number)
        assert " --> " in times
        assert 1 <= len(lines) <= 2
        assert max(map(len, lines)) <= 42
    assert transcript.texts["transcript.vtt"].startswith("WEBVTT\n\n00:00:0")
    words = [word for cue in cues for word in cue["words"]]
    assert all(word["start"] <= word["end"] for word in words)
    assert "".join(word["text"] for word in words).split() == transcript.texts["transcript.txt"].split()


def test_progress_is_reported(transcript: Transcript) -> None:
    progress = [report.progress for report in transcript.reports if report.progress is not None]
    assert progress == sorted(progress)
    assert any(report.message.startswith("Transcribed 0:") for report in transcript.reports)


def test_an_interrupted_one_goes_on_after_its_last_chunk(
    transcribe: Transcribe, transcript: Transcript, spoken: Spoken
) -> None:
    notes: dict[str, dict[str, Any]] = {}
    with pytest.raises(InferenceFailed):
        transcribe(spoken.path, notes=notes, most=1)
    again = transcribe(spoken.path, notes=notes)
    assert again.requests == transcript.requests - 1
    assert again.texts == transcript.texts
    assert not any(notes.values())


def test_speech_without_a_pause_loses_no_word_where_it_is_cut(transcribe: Transcribe, tmp_path: Path) -> None:
    spoken = speak(tmp_path / "breathless.wav", 40, (0.0,))
    found = transcribe(spoken.path)
    assert found.requests >= 2
    assert word_errors(spoken.words, found.words) <= 0.10
    assert abs(len(found.words) - len(spoken.words)) <= 0.02 * len(spoken.words)


@pytest.mark.parametrize(
    "source",
    [
        "anullsrc=r=16000:cl=mono",
        "anoisesrc=r=16000:color=pink:amplitude=0.3",
        "sine=frequency=440:sample_rate=16000",
    ],
)
def test_no_words_are_found_where_nobody_speaks(transcribe: Transcribe, tmp_path: Path, source: str) -> None:
    path = tmp_path / "nobody.wav"
    ffmpeg("-f", "lavfi", "-t", "30", "-i", source, str(path))
    found = transcribe(path)
    assert list(found.texts) == ["transcript.json"]
    assert found.json["cues"] == []
    assert found.outcome.message == "No speech was found."


def test_a_file_that_was_cut_off_gives_what_can_be_heard(
    transcribe: Transcribe, spoken: Spoken, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole.flac", tmp_path / "cut.flac"
    ffmpeg("-i", str(spoken.path), "-t", "30", str(whole))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = transcribe(cut)
    assert "ship left the" in found.texts["transcript.txt"]


@pytest.mark.parametrize("name", ["late.ts", "late.mkv"])
def test_of_sound_that_begins_late_the_times_are_those_of_the_file(
    transcribe: Transcribe, tmp_path: Path, name: str
) -> None:
    spoken, late = speak(tmp_path / "spoken.wav", 2, (1.7,)), 3.0
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=12", "-itsoffset", f"{late}", "-i", str(spoken.path),
        *X264.split(), *AAC.split(), str(tmp_path / name),
    )  # fmt: skip
    cues = transcribe(tmp_path / name).json["cues"]
    for start, end in spoken.spans:
        assert min(abs(cue["start"] - late - start) for cue in cues) <= 0.3
        assert min(abs(cue["end"] - late - end) for cue in cues) <= 0.3


def test_a_language_that_the_model_does_not_know_is_refused(transcribe: Transcribe, spoken: Spoken) -> None:
    with pytest.raises(UnfitMedia, match="knows English only"):
        transcribe(spoken.path, language="de")


def test_a_model_that_is_not_there_says_what_to_do(transcribe: Transcribe, spoken: Spoken, tmp_path: Path) -> None:
    with pytest.raises(OperationUnavailable, match=r"has no model\.bin"):
        transcribe(spoken.path, model=str(tmp_path))
    with pytest.raises(OperationUnavailable, match="does not exist"):
        transcribe(spoken.path, model=str(tmp_path / "nothing"))
    (tmp_path / "model.bin").write_bytes(b"no weights")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UnfitMedia, match="cannot be loaded"):
        transcribe(spoken.path, model=str(tmp_path))


@pytest.mark.parametrize(("channels", "rate"), [(10_000, 16_000), (1, 4_000_000_000)])
def test_a_file_with_absurd_sound_is_refused_or_heard(
    transcribe: Transcribe, tmp_path: Path, channels: int, rate: int
) -> None:
    path = tmp_path / "absurd.wav"
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 2**31, b"WAVE", b"fmt ", 16, 1, channels, rate, 0, 2 * channels, 16
    )
    path.write_bytes(head + b"data" + struct.pack("<I", 200_000) + bytes(200_000))
    with suppress(Failure):
        assert transcribe(path).json["cues"] == []
