"""Each operation on each kind of file that it accepts: the result is as long, as loud and as sharp as the original.

Every kind meets one operation, chosen so that over all kinds every operation has its turn. TESTS_MORE=10 tries all.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.operations import registry
from tests.support.media_checks import frame_count, loudness, similarity, similarity_of_picture, sound_duration, times
from tests.support.media_samples import REAL, Real
from tests.support.operation_runs import Done, OperateOn
from tests.support.repetitions import MORE

FRAME = 0.04 + 1e-9  # seconds: all samples have 25 frames a second
SOUND_TOLERANCE = 0.05  # seconds
LOUDNESS_TOLERANCE = 0.5  # LU
PLENTY = 10  # of TESTS_MORE


def has_picture(sample: Real) -> bool:
    return "-map 0:v" in sample.arguments


def has_sound(sample: Real) -> bool:
    return "-map 1:a" in sample.arguments


def check_transcode(done: Done, source: Path, sample: Real) -> None:
    path = done.output.path
    there, here = times(source), times(path)
    assert len(here) == frame_count(source)
    if there:  # a bare stream has no times
        assert [time - here[0] for time in here] == pytest.approx([time - there[0] for time in there], abs=FRAME)
    assert similarity(path, source) >= 0.95
    assert [len(done.made.video), len(done.made.audio)] == [1, int(has_sound(sample))]
    if has_sound(sample):
        _check_sound(path, source)


def check_audio(done: Done, source: Path, sample: Real) -> None:
    assert [len(done.made.video), len(done.made.audio)] == [0, 1]
    _check_sound(done.output.path, source)


def _check_sound(path: Path, source: Path) -> None:
    assert sound_duration(path) == pytest.approx(sound_duration(source), abs=SOUND_TOLERANCE)
    assert loudness(path) == pytest.approx(loudness(source), abs=LOUDNESS_TOLERANCE)


def check_thumbnail(done: Done, source: Path, sample: Real) -> None:
    assert similarity_of_picture(done.output.path, source) >= 0.95


def check_storyboard(done: Done, source: Path, sample: Real) -> None:
    [index] = [output.path.read_text() for output in done.outputs if output.path.suffix == ".vtt"]
    ends = [float(end) for end in re.findall(r"--> 00:00:([\d.]+)", index)]
    assert ends[-1] >= frame_count(source) * FRAME
    assert [output.path.suffix for output in done.outputs] == [".vtt", ".jpg"]


def check_waveform(done: Done, source: Path, sample: Real) -> None:
    [found] = [json.loads(output.path.read_bytes()) for output in done.outputs if output.path.suffix == ".json"]
    pixel = found["samples_per_pixel"] / found["sample_rate"]
    assert found["length"] * pixel == pytest.approx(sound_duration(source), abs=SOUND_TOLERANCE + pixel)
    assert max(found["data"]) > 1000 > -1000 > min(found["data"])


def check_hls(done: Done, source: Path, sample: Real) -> None:
    if done.outputs:
        pictures = [output.path for output in done.outputs if output.kind == "video"]
        assert {frame_count(path) for path in pictures} == {frame_count(source)}
    else:
        assert "plays" in done.message


def check_inspect(done: Done, source: Path, sample: Real) -> None:
    assert done.facts is not None
    assert [len(done.facts.video), len(done.facts.audio)] == [int(has_picture(sample)), int(has_sound(sample))]
    assert done.output.kind == "image"


# Operation -> what it needs of a file, and what must be true of its result.
CHECKS: dict[str, tuple[Callable[[Real], bool], Callable[[Done, Path, Real], None]]] = {
    "transcode": (has_picture, check_transcode),
    "audio": (has_sound, check_audio),
    "thumbnail": (has_picture, check_thumbnail),
    "waveform": (has_sound, check_waveform),
    "hls": (has_picture, check_hls),
    "storyboard": (has_picture, check_storyboard),
    "inspect": (lambda _: True, check_inspect),
}
SAMPLES = [sample for sample in REAL if not sample.media.startswith("image/")]


def _pairs() -> list[tuple[str, Real]]:
    pairs = []
    for number, sample in enumerate(SAMPLES):
        fitting = [name for name, (fits, _) in CHECKS.items() if fits(sample)]
        turns = len(fitting) if MORE >= PLENTY else 1
        pairs += [(fitting[(number + turn) % len(fitting)], sample) for turn in range(turns)]
    return pairs


@pytest.mark.parametrize(
    ("operation", "sample"), [pytest.param(*pair, id=f"{pair[0]}-{pair[1].name}") for pair in _pairs()]
)
def test_the_result_is_like_the_original(
    operation: str, sample: Real, samples: dict[str, Path], sandbox: Sandbox, operate_on: OperateOn
) -> None:
    source = samples[sample.name]
    facts: Facts = probe(source, sandbox)
    kind = "video" if has_picture(sample) else "audio"
    CHECKS[operation][1](operate_on(operation, source, facts, kind=kind), source, sample)


def test_every_operation_is_in_the_matrix() -> None:
    tried = {operation for operation, _ in _pairs()}
    # render takes several files, predict a server, the others need speech or events: their tests have own kinds.
    assert tried == set(registry) - {"render", "transcribe", "detect", "predict"}
