"""Detectors that need an extra or a model, by a real server and worker: refused without it, cached by model."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_jobs.errors import ExtraMissing
from media_jobs.ffmpeg.binary import find
from media_jobs.operations import get, parse
from media_jobs.queue import extras
from tests.support.job_orders import ended, keep, order, submitted
from tests.support.needs_vision import needs_vision
from tests.support.onnx_writer import write_spot_detector
from tests.support.running_servers import running
from tests.support.server import Server, Template, query

SPOTS = {"detectors": ["onnx:spots"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_spot_detector(folder / "spots.onnx")
    (folder / "spots.txt").write_text("red spot\ngreen spot\n")
    return folder


@pytest.fixture(scope="module")
def server(template: Template, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, DETECTOR_MODELS=str(models)) as server:
        server.start_worker("inference")
        yield server


@pytest.fixture(scope="module")
def film(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("film") / "red.mp4"
    words = ["-f", "lavfi", "-i", "color=red:s=64x64:r=5:d=1", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([str(find().path), "-nostdin", "-v", "error", *words], check=True)
    return keep(server, path.read_bytes(), path.name)


@pytest.mark.django_db
def test_without_the_extra_the_refusal_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", list)
    detect = get("detect")
    for name in ("plates", "text", "onnx:spots"):
        with pytest.raises(ExtraMissing, match='make run EXTRAS="vision"'):
            extras.require_extras(detect, parse(detect, {"detectors": ["scenes", name]}))
    extras.require_extras(detect, parse(detect, {"detectors": ["scenes"]}))


@needs_vision
def test_a_model_that_is_not_registered_is_refused(server: Server, film: str) -> None:
    refused = order(server, operation="detect", file=film, params={"detectors": ["onnx:other"]})
    assert (refused.status, refused.json()["code"]) == (400, "extra_missing")
    assert "has no file other.onnx" in refused.json()["detail"]
    refused = order(server, operation="detect", file=film, params={"detectors": ["onnx:../spots"]})
    assert (refused.status, refused.json()["code"]) == (400, "invalid_params")


@needs_vision
def test_what_a_model_sees_is_found_by_its_label(server: Server, film: str) -> None:
    done = ended(server, submitted(server, operation="detect", file=film, params=SPOTS | {"max_fps": 2}))
    assert done["status"] == "succeeded", done["error"]
    server.manage("housekeeping", "--once")
    results = server.get("/api/v1/search/?q=red+spot&source=onnx:spots", user="alice").json()["results"]
    assert [(found["file"]["id"], found["start"]) for found in results] == [(film, 0.0)]
    assert not server.get("/api/v1/search/?q=green+spot", user="alice").json()["results"]


@needs_vision
def test_a_result_is_used_again_until_the_model_changes(server: Server, film: str, models: Path) -> None:
    first = ended(server, submitted(server, operation="detect", file=film, params=SPOTS))
    assert (first["status"], first["cached"]) == ("succeeded", False), first["error"]
    assert first["message"].startswith("Processed 5/5 frames (")
    assert ended(server, submitted(server, operation="detect", file=film, params=SPOTS))["cached"]
    (models / "spots.txt").write_text("rouge\nvert\n")
    again = ended(server, submitted(server, operation="detect", file=film, params=SPOTS))
    assert (again["status"], again["cached"]) == ("succeeded", False)
    [[listed]] = query(server, "SELECT extras FROM media_jobs_worker")
    assert "vision (rapidocr" in listed
