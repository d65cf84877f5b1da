"""`detect` with the detectors that load a model: number plates, text, and an operator's own."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from media_jobs.detection.boxes import overlap
from media_jobs.detection.frame_engine import frame_engine
from media_jobs.detection.onnx_models import find_onnx
from media_jobs.detection.plates import Plates
from media_jobs.detection.sightings import Box
from media_jobs.errors import InferenceFailed, OperationUnavailable, UnfitMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.operations import get, parse, rendering
from media_jobs.system_checks import detector_models
from media_jobs.understanding.extras import VISION, NoModel
from media_jobs.understanding.warm_helper import WarmHelper
from tests.support.needs_vision import needs_vision
from tests.support.onnx_writer import write_spot_detector
from tests.support.operation_runs import Done, OperateOn
from tests.support.processes import stopped_when

pytestmark = needs_vision
SPOTS = "onnx:spots"
FONT = Path(rendering.__file__).parent / "fonts/DejaVuSans.ttf"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.support.drawn_plates import draw_clip  # it draws with the extra

    return draw_clip(tmp_path_factory.mktemp("street") / "street.mp4", 4, seconds=2.5, width=640)


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of nothing, and one of a red square at the left."""
    folder = tmp_path_factory.mktemp("spots")
    write_spot_detector(folder / "spots.onnx")
    (folder / "spots.txt").write_text("red spot\ngreen spot\n")
    graph = "color=black:s=128x64:r=10:d=2,drawbox=16:16:16:16:red:fill:enable='gte(t,1)'"
    words = ["-f", "lavfi", "-i", graph, "-c:v", "libx264rgb", "-qp", "0", str(folder / "spots.mkv")]
    subprocess.run([str(find().path), "-nostdin", "-v", "error", *words], check=True)
    return folder


def finds(done: Done) -> list[dict[str, Any]]:
    [path] = [each.path for each in done.outputs if each.name == "detections.json"]
    found: list[dict[str, Any]] = json.loads(path.read_text())["finds"]
    return found


def test_equal_seeds_draw_equal_clips(tmp_path: Path) -> None:
    from tests.support.drawn_plates import draw_clip

    one, same, other = (
        draw_clip(tmp_path / f"{number}.mp4", seed, "night", seconds=0.4, width=320)
        for number, seed in enumerate((1, 1, 2))
    )
    assert one.plates == same.plates != other.plates
    assert one.path.read_bytes() == same.path.read_bytes() != other.path.read_bytes()


def test_number_plates_are_found_and_read(operate_on: OperateOn, sandbox: Sandbox, street: Any) -> None:
    done = operate_on("detect", street.path, probe(street.path, sandbox), detectors=["plates"])
    found = {find["text"]: find for find in finds(done)}
    assert found.keys() == {plate.text for plate in street.plates}
    assert f"({len(found)} unique plates, " in done.message
    for plate in street.plates:
        find = found[plate.text]
        assert find["start"] == pytest.approx(plate.start, abs=0.25)
        assert find["end"] == pytest.approx(plate.end, abs=0.25)
        times = sorted(plate.path, key=lambda time: abs(time - find["path"][0][0]))
        assert overlap(Box(*find["path"][0][1:]), plate.path[times[0]]) > 0.5


def test_a_pattern_chooses_plates(operate_on: OperateOn, sandbox: Sandbox, street: Any) -> None:
    wanted = street.plates[0].text
    done = operate_on(
        "detect", street.path, probe(street.path, sandbox), detectors=["plates"], plate_pattern=wanted, max_fps=2
    )
    assert [find["text"] for find in finds(done)] == [wanted]


def test_text_is_found_and_read(operate_on: OperateOn, sandbox: Sandbox, tmp_path: Path) -> None:
    film = tmp_path / "text.mp4"
    written = f"drawtext=fontfile={FONT}:text='Chapter one':fontcolor=white:fontsize=30:x=40:y=60"
    graph = f"color=navy:s=320x180:r=5:d=1,{written}"
    words = ["-f", "lavfi", "-i", graph, "-pix_fmt", "yuv420p", str(film)]
    subprocess.run([str(find().path), "-nostdin", "-v", "error", *words], check=True)
    done = operate_on("detect", film, probe(film, sandbox), detectors=["text"])
    assert [(find["label"], find["text"]) for find in finds(done)] == [("text", "Chapter one")]


def test_an_operators_model_finds_what_it_knows(operate_on: OperateOn, sandbox: Sandbox, spots: Path) -> None:
    film, models = spots / "spots.mkv", {VISION.name: str(spots)}
    done = operate_on("detect", film, probe(film, sandbox), models=models, detectors=[SPOTS], max_fps=10)
    [find] = finds(done)
    assert (find["detector"], find["label"], find["start"], find["end"]) == (SPOTS, "red spot", 1, 1.9)
    assert "(1 object, 10 detections)" in done.message


def test_a_model_that_is_not_here_is_named(operate_on: OperateOn, sandbox: Sandbox, spots: Path) -> None:
    film = spots / "spots.mkv"
    with pytest.raises(OperationUnavailable, match=r"no file other\.onnx"):
        operate_on(
            "detect", film, probe(film, sandbox), models={VISION.name: str(spots)}, detectors=["onnx:other"]
        )  # fmt: skip
    detect = get("detect")
    params = parse(detect, {"detectors": [SPOTS]})
    detect.check_models(params, {VISION.name: str(spots)})
    with pytest.raises(NoModel, match="MILLRACE_DETECTOR_MODELS"):
        detect.check_models(params, {})
    assert detect.model_identity(params, {}) != detect.model_identity(params, {VISION.name: str(spots)})


def test_a_damaged_model_fails_the_job_with_its_name(
    operate_on: OperateOn, sandbox: Sandbox, spots: Path, tmp_path: Path
) -> None:
    (tmp_path / "spots.onnx").write_bytes(b"no model")
    (tmp_path / "spots.txt").write_text("one")
    film = spots / "spots.mkv"
    with pytest.raises(UnfitMedia, match=r"spots\.onnx cannot be loaded"):
        operate_on("detect", film, probe(film, sandbox), models={VISION.name: str(tmp_path)}, detectors=[SPOTS])


def test_a_helper_that_is_killed_while_it_looks_is_replaced(
    operate_on: OperateOn, sandbox: Sandbox, warm_helper: WarmHelper, street: Any
) -> None:
    facts = probe(street.path, sandbox)
    warm_helper.end()
    caught: list[int] = []

    def kill() -> None:
        with stopped_when(lambda: [pid] if (pid := warm_helper.pid) is not None else []):
            caught.append(warm_helper.pid or 0)
            os.kill(caught[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(InferenceFailed):
        operate_on("detect", street.path, facts, detectors=["plates"])
    killer.join()
    assert warm_helper.pid is None
    done = operate_on("detect", street.path, facts, detectors=["plates"], max_fps=2.5)
    assert len(finds(done)) == len(street.plates)
    assert warm_helper.pid not in {None, *caught}


def test_two_owners_never_share_a_helper(sandbox: Sandbox, spots: Path) -> None:
    import numpy as np

    helper, pids = WarmHelper(lambda: sandbox), []
    engine = frame_engine([find_onnx(str(spots), SPOTS)], {}, 0.5)
    request = {"times": [0.0], "has_before": False}
    for owner in ("alice", "bob"):
        with helper.lend(owner, 1, lambda: None) as lent:
            assert lent.ask(engine, request, np.zeros((1, 64, 64, 3), np.uint8)) == {"seen": []}
        pids.append(helper.pid)
    helper.end()
    assert len(set(pids)) == 2


def test_the_check_loads_each_model_and_names_what_is_wrong(
    spots: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("good.onnx", "other.onnx"):
        write_spot_detector(tmp_path / name)
    (tmp_path / "good.txt").write_text("a\nb")
    (tmp_path / "other.txt").write_text("one")
    (tmp_path / "bare.onnx").write_bytes(b"")
    monkeypatch.setattr(settings, "JOBS", replace(settings.JOBS, detector_models=str(tmp_path)))
    monkeypatch.setattr(sys, "argv", ["manage.py", "check"])
    found = [str(message.msg) for message in detector_models()]
    assert "onnx:bare cannot be used. The model bare.onnx has no labels. Put them into bare.txt" in found[0]
    assert "onnx:other cannot be used. The model other.onnx cannot be used: its output is 1 × 6 × 64" in found[1]
    assert found[2] == "detect knows these models: onnx:good."
    monkeypatch.setattr(settings, "JOBS", replace(settings.JOBS, detector_models=str(tmp_path / "nowhere")))
    assert [message.id for message in detector_models()] == ["media_jobs.W006"]


def test_plates_read_nothing_but_installed_packages() -> None:
    assert not Plates().files()
