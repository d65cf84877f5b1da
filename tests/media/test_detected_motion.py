"""The detector `motion` on encoded clips: what moves is found while it moves, and noise and light do not move."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work
from media_jobs.understanding.warm_helper import WarmHelper

from ..support.troubled_clips import X264, ffmpeg

BETWEEN = 0.2  # seconds from one frame that is looked at to the next
STREET = "smptehdbars=s=640x360:r=25:d=4"
NIGHT = f"{STREET},lutyuv=y='16+(val-16)*0.25',noise=alls=14:allf=t"
# A box of 48 by 64 pixels, which crosses the picture from 1 s to 3 s, in steps of 48 pixels: beside where it was.
WALKER = (
    "color={colour}:s=48x64:r=25:d=4[w];{scene}[s];[s][w]overlay=x='(t-1)*240':y=200:enable='between(t,0.99,2.99)'"
)

Moves = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def moves(helper: WarmHelper, tmp_path: Path) -> Moves:
    """What moves in a clip of this graph of lavfi."""

    def run(graph: str, *encoder: str, **params: Any) -> list[dict[str, Any]]:
        path, folder, sandbox = tmp_path / "clip.mp4", tmp_path / "work", helper.sandbox()
        folder.mkdir(mode=0o700)
        ffmpeg("-f", "lavfi", "-i", graph, *(encoder or X264.split()), str(path))
        tools, operation = Toolbox(find(), sandbox, folder, 2, lambda: None, lambda report: None), get("detect")
        given = parse(operation, {"detectors": ["motion"], **params})
        with helper.lend("alice", 1, lambda: None) as inference:
            main = Input(path, path.name, "video", probe(path, sandbox))
            operation.run(Work(given, main, [], folder, tools, 2, inference=inference))
        found: list[dict[str, Any]] = json.loads((folder / "detections.json").read_text())["finds"]
        return found

    return run


@pytest.mark.parametrize(("scene", "colour"), [(STREET, "black"), (NIGHT, "gray")])
def test_what_crosses_the_picture_is_one_find(scene: str, colour: str, moves: Moves) -> None:
    [walker] = moves(WALKER.format(scene=scene, colour=colour))
    assert 1.0 <= walker["start"] <= 1.0 + BETWEEN + 0.01
    assert 3.0 - BETWEEN - 0.01 <= walker["end"] <= 3.0 + BETWEEN
    for time, x, y, width, height in walker["path"]:
        assert x <= (time - 1) * 0.375 + 0.05
        assert x + width >= (time - 1) * 0.375
        assert y == pytest.approx(200 / 360, abs=0.03)
        assert height == pytest.approx(64 / 360, abs=0.05)


@pytest.mark.parametrize(
    "scene",
    [
        NIGHT,
        f"{NIGHT},eq=brightness='0.06*sin(t*2)':eval=frame",
        f"{STREET},noise=alls=30:allf=t",
        f"{STREET},eq=gamma='1+0.3*sin(t*2)':eval=frame",
        f"{STREET},fade=out:25:25",
    ],
)
@pytest.mark.parametrize("encoder", [X264, "-c:v libx264 -preset veryfast -crf 35 -g 12 -pix_fmt yuv420p"])
def test_where_nothing_moves_nothing_is_found(scene: str, encoder: str, moves: Moves) -> None:
    """In noise at night, with a camera that adapts to the light, and in poor quality with many key frames."""
    assert moves(scene, *encoder.split()) == []


def test_outside_the_region_nothing_is_found(moves: Moves) -> None:
    graph = WALKER.format(scene=STREET, colour="black")
    assert moves(graph, region="0%, 0%, 100%, 50%") == []


def test_what_is_unsure_is_left_out(moves: Moves) -> None:
    assert moves(WALKER.format(scene=STREET, colour="black"), min_confidence=1) == []
