"""Events of a long file that workers read in spans: the spans together say what the whole says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import detect, parse
from media_jobs.operations.base import Input, Outcome, Work
from media_jobs.operations.detecting.parameters import DetectParams
from media_jobs.operations.divisible import DonePart, Indivisible

from ..support.event_clips import EVENT_CLIPS, event_clip

SEEN = ["scenes", "black", "freeze"]
OPERATION = detect.Detect()


def work_on(path: Path, sandbox: Sandbox, folder: Path) -> Work[DetectParams]:
    tools = Toolbox(find(), sandbox, folder, 2, lambda: None, lambda report: None)
    params = parse(OPERATION, {"detectors": SEEN})
    return Work(params, Input(path, path.name, "video", probe(path, sandbox)), [], folder, tools, 2)


def in_folder(work: Work[DetectParams], sandbox: Sandbox, folder: Path) -> Work[DetectParams]:
    folder.mkdir(mode=0o700)
    tools = Toolbox(find(), sandbox, folder, 2, lambda: None, lambda report: None)
    return replace(work, folder=folder, tools=tools)


def found_in(folder: Path) -> list[object]:
    found: list[object] = json.loads((folder / "detections.json").read_text())["finds"]
    return found


@pytest.mark.parametrize("length", [0.9, 2.0])
@pytest.mark.parametrize("name", ["all", "noisy-freeze", "cut-in-motion"])
def test_spans_find_what_the_whole_has(
    name: str, length: float, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    event_clip(name, path)
    monkeypatch.setattr(detect, "_LENGTH", length)
    work = work_on(path, sandbox, tmp_path)
    whole, joined = in_folder(work, sandbox, tmp_path / "whole"), in_folder(work, sandbox, tmp_path / "joined")
    OPERATION.run(whole)
    parts = OPERATION.split(work, 2)
    assert not isinstance(parts, Outcome)
    assert len(parts) == round(EVENT_CLIPS[name].planted.length / 25 / length)
    done = []
    for number, part in enumerate(parts):
        made = OPERATION.run_part(in_folder(work, sandbox, tmp_path / f"{number}"), part.spec)
        done.append(DonePart(part.spec, {output.name: output.path for output in made.outputs}))
    OPERATION.join(joined, done)
    assert found_in(joined.folder) == found_in(whole.folder)


def test_a_film_of_variable_rate_is_read_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """The frame that a span begins with may have been shown since long before it."""
    options = ("-vf", "select='not(mod(n,7))+lt(n,40)*mod(n,3)'", "-fps_mode", "vfr", "-enc_time_base", "1/90000")
    event_clip("all", tmp_path / "film.mp4", *options)
    with pytest.raises(Indivisible):
        OPERATION.split(work_on(tmp_path / "film.mp4", sandbox, tmp_path), 2)
