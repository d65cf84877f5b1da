"""transcode with quality="vmaf:N": the result has this VMAF, whatever its frames went through on the way."""

import re
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.progress import Report
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Outcome, Work
from media_jobs.operations.divisible import Again, DivisibleOperation, DonePart
from media_jobs.operations.shared import quality_samples, quality_target, split_encode
from tests.support.operation_runs import Done, Operate
from tests.support.troubled_clips import FFMPEG

Clips = Callable[[str], Path]
Notes = dict[str, dict[str, float]]
Attempt = Callable[..., Done]
THREADS = 2


@pytest.fixture
def attempt(clips: Clips, facts_of: Callable[[str], Facts], sandbox: Sandbox, tmp_path: Path) -> Attempt:
    """Transcode as workers do, whole or in pieces, with the notes of earlier attempts."""
    operation = get("transcode")
    assert isinstance(operation, DivisibleOperation)
    folders = (tmp_path / f"attempt-{number}" for number in count())

    def run(name: str, notes: Notes, *, in_pieces: bool = False, **params: Any) -> Done:
        reports = list[Report]()

        def work() -> Work[Any]:
            folder = next(folders)
            folder.mkdir(mode=0o700)
            tools = Toolbox(find(), sandbox, folder, THREADS, lambda: None, reports.append)
            main = Input(clips(name), name, "video", facts_of(name))
            return Work(parse(operation, params), main, [], folder, tools, THREADS, notes)

        last = work()
        outcome = joined(operation, work, last) if in_pieces else operation.run(last)
        assert isinstance(last.tools, Toolbox)
        checked = (last.tools.verify(output.path, output.expected) for output in outcome.outputs)
        return Done(
            list(outcome.outputs),
            [facts for facts in checked if facts],
            None,
            outcome.message,
            reports,
            outcome.measured,
        )

    return run


def joined(operation: DivisibleOperation[Any], work: Callable[[], Work[Any]], last: Work[Any]) -> Outcome:
    parts = operation.split(work(), 10)
    assert not isinstance(parts, Outcome)
    specs, done = dict(enumerate(part.spec for part in parts)), dict[int, DonePart]()
    assert len(specs) >= 3
    while True:
        for number, spec in specs.items():
            [made] = operation.run_part(work(), spec).outputs
            done[number] = DonePart(spec, {made.name: made.path})
        outcome = operation.join(last, [done[number] for number in sorted(done)])
        if isinstance(outcome, Outcome):
            return outcome
        assert isinstance(outcome, Again)
        specs = dict(outcome.specs)


@pytest.mark.parametrize(
    ("clip", "params"),
    [
        ("uneven.mp4", {"height": 90, "end": 1}),
        ("uneven.mp4", {"height": 90, "end": 1, "fps": 24}),
        ("rotated.mp4", {"height": 160, "end": 1, "codec": "av1"}),
        ("pq.mp4", {"height": 90, "codec": "hevc"}),
        ("halves.ts", {"height": 90}),
        ("film.ts", {"height": 90, "start": 0.5, "end": 1.3}),
        ("late-picture.mkv", {"end": 2}),
        ("one-frame.mp4", {"height": 90}),
    ],
)
def test_the_frames_that_were_encoded_are_compared(operate: Operate, clip: str, params: dict[str, Any]) -> None:
    """One frame of misalignment would cost 50 points: no CRF would reach the target then."""
    done = operate("transcode", clip, quality="vmaf:90", audio="none", **params)
    assert done.measured is not None
    assert done.measured["vmaf"] == pytest.approx(90, abs=1)


def test_the_score_is_that_of_ffmpeg_alone(operate: Operate, clips: Clips) -> None:
    done = operate("transcode", "film.mkv", quality="vmaf:93", height=90)
    assert done.measured is not None
    assert done.measured["vmaf"] == pytest.approx(93, abs=1)
    assert vmaf(done.output.path, clips("film.mkv")) == pytest.approx(done.measured["vmaf"], abs=0.05)
    assert done.message == f"VMAF {done.measured['vmaf']:.1f} at CRF {done.measured['crf']:g}."
    told = [report.message for report in done.reports]
    assert any(re.fullmatch(r"Searching quality: VMAF \d\d\.\d at CRF \d+(\.\d+)?", message) for message in told)
    assert any(message.startswith("Measuring quality: ") for message in told)
    progress = [report.progress for report in done.reports if report.progress is not None]
    assert progress == sorted(progress)


def test_a_misaligned_frame_would_be_noticed(operate: Operate, clips: Clips) -> None:
    done = operate("transcode", "film.mkv", quality=10, height=90)
    assert vmaf(done.output.path, clips("film.mkv")) > 95
    assert vmaf(done.output.path, clips("film.mkv"), skipped=1) < 75


@pytest.mark.parametrize(
    ("clip", "quality", "limit", "words"),
    [
        ("grey.mkv", "vmaf:99", "best", "h264 reaches no more than VMAF 97.4 with this video"),
        ("grey.mkv", "vmaf:60", "worst", "even at the highest CRF of h264, 51."),
    ],
)
def test_what_the_codec_cannot_do_is_said(operate: Operate, clip: str, quality: str, limit: str, words: str) -> None:
    done = operate("transcode", clip, quality=quality)
    assert done.measured is not None
    assert (done.measured["limit"], done.measured["encodes"]) == (limit, 1)
    assert words in done.message


def test_a_wrong_prediction_is_corrected(attempt: Attempt) -> None:
    notes: Notes = {}
    first = attempt("film.mkv", notes, quality="vmaf:85", height=90)
    assert searched(first)
    [key] = notes
    notes[key] = {crf: score - 6 for crf, score in notes[key].items()}
    again = attempt("film.mkv", notes, quality="vmaf:85", height=90)
    assert again.measured is not None
    assert again.measured["encodes"] == 2
    assert again.measured["vmaf"] == pytest.approx(85, abs=1)
    assert any(report.message.startswith("Encoding again with CRF") for report in again.reports)


def test_a_long_film_is_sampled_all_along(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this one, nothing can be decoded behind the last key frame, where the last sample is."""
    monkeypatch.setattr(quality_samples, "_WHOLE", 10)
    monkeypatch.setattr(quality_samples, "_SECONDS", 0.5)
    monkeypatch.setattr(quality_target, "MOST_PROBES", 2)
    done = operate("transcode", "orderly.ts", quality="vmaf:90", audio="none")
    assert done.measured is not None
    assert done.measured["vmaf"] == pytest.approx(90, abs=3)


def test_pieces_reach_the_target_together(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_encode, "SHORTEST", 3.9)
    notes: Notes = {}
    for encodes in (1, 2):
        done = attempt("index-last.mp4", notes, quality="vmaf:90", in_pieces=True)
        assert done.measured is not None
        assert done.measured["vmaf"] == pytest.approx(90, abs=1)
        assert done.measured["encodes"] == encodes
        # The next search believes a wrong prediction, and needs no other probe.
        notes = {key: {min(scores): 90.0} for key, scores in notes.items()}


def searched(done: Done) -> list[str]:
    return [report.message for report in done.reports if report.message.startswith("Searching")]


def vmaf(made: Path, source: Path, *, skipped: int = 0) -> float:
    """As people measure it by hand. The source is scaled to the size of what was made."""
    size = "scale=160:90:flags=bicubic,format=yuv420p,settb=1/30,setpts=N"
    graph = f"[0:v]settb=1/30,setpts=N[d];[1:v]trim=start_frame={skipped},{size}[r];[d][r]libvmaf=shortest=1"
    command = [FFMPEG, "-nostdin", "-i", str(made), "-i", str(source), "-lavfi", graph, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"VMAF score: ([\d.]+)", done.stderr)
    assert found is not None, done.stderr
    return float(found[1])
