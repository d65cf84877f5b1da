"""The operation render: each clip has its place, its frames and its sound, whatever its file is like."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work
from media_jobs.operations.rendering.clip_encoder import SAMPLE_RATE
from tests.support.media_checks import times
from tests.support.renders import Render, Rendered, names, tone

KINDS = {".png": "image", ".wav": "audio", ".srt": "subtitle", ".vtt": "subtitle", ".ass": "subtitle"}


@pytest.fixture
def render(clips: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Render:
    numbers = count()

    def run(files: Sequence[str | Path], parts: Sequence[dict[str, Any]], /, **params: Any) -> Rendered:
        folder = tmp_path / f"work-{next(numbers)}"
        folder.mkdir()
        tools = Toolbox(find(), sandbox, folder, 1, lambda: None, lambda _: None)
        paths = [clips(file) if isinstance(file, str) else file for file in files]
        main, *others = [
            Input(path, path.name, KINDS.get(path.suffix, "video"), probe(path, sandbox)) for path in paths
        ]
        operation = get("render")
        params = {"quality": 30, "clips": parts, **params}
        work = Work(parse(operation, params), main, others, folder, tools, 1)
        outcome = operation.run(work)
        [output] = outcome.outputs
        found = tools.verify(output.path, output.expected)
        assert found is not None
        return Rendered(output.path, found, outcome.message)

    return run


def test_clips_of_all_kinds_have_their_place_to_the_frame(render: Render) -> None:
    done = render(
        ["red.mp4", "green.mkv", "blue.webm", "yellow.png"],
        [
            {"file": 0, "start": 0.52, "end": 1.52},
            {"file": 1, "start": 0.3, "end": 1.7},
            {"file": 3, "duration": 0.6},
            {"file": 2, "start": 0.5, "end": 1.3},
            {"file": 0, "start": 1.0},
        ],
    )
    [picture], [sound] = done.facts.video, done.facts.audio
    assert (picture.width, picture.height, picture.fps, sound.layout) == (160, 90, 25, "stereo")
    assert names(done.frames) == [("red", 25), ("green", 35), ("yellow", 15), ("blue", 20), ("red", 50)]
    found = times(done.path)
    assert found == pytest.approx([number / 25 for number in range(145)], abs=0.001)
    heard = done.sound
    spans = [(0.05, 0.95), (1.05, 2.35), (2.5, 2.9), (3.1, 3.7), (3.9, 5.75)]
    assert [tone(heard, *span) for span in spans] == [440, 880, 0, 0, 440]
    assert len(heard) / SAMPLE_RATE == pytest.approx(145 / 25, abs=0.03)
