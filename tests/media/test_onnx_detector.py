"""The detector of an operator's own models, with small models that see red and green spots."""

import json
from pathlib import Path

import numpy as np
import pytest

from media_jobs.detection.detector import Looker, Picture
from media_jobs.detection.onnx_models import find_onnx, load, names_of
from media_jobs.understanding.engine import CannotAnswer
from media_jobs.understanding.extras import NoModel
from tests.support.needs_vision import needs_vision
from tests.support.onnx_writer import node, write_model, write_spot_detector

GREEN, RED = (0, 255, 0), (0, 0, 255)
SPOTS = "onnx:spots"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_spot_detector(tmp_path / "spots.onnx")
    (tmp_path / "spots.txt").write_text("red spot\ngreen spot\n")
    return tmp_path


def loaded(folder: Path, name: str = SPOTS) -> Looker:
    return load(1, **find_onnx(str(folder), name).options())


def picture(*spots: tuple[int, int, tuple[int, int, int]], width: int = 128, height: int = 64) -> Picture:
    """Black, with spots of 16 x 16 pixels at these places."""
    made = np.zeros((height, width, 3), np.uint8)
    for x, y, colour in spots:
        made[y : y + 16, x : x + 16] = colour
    return made


@needs_vision
@pytest.mark.parametrize("with_objectness", [False, True])
def test_what_it_sees_has_the_label_and_the_place_of_the_thing(folder: Path, *, with_objectness: bool) -> None:
    write_spot_detector(folder / "spots.onnx", with_objectness=with_objectness)
    # The model sees the picture at half its size, with 16 grey pixels above and below.
    seen = loaded(folder).look(picture((16, 16, RED), (96, 32, GREEN)), None, 2.5)
    assert {one.label: (one.box.x + one.box.width / 2, one.box.y + one.box.height / 2) for one in seen} == {
        "red spot": pytest.approx((24 / 128, 24 / 64)),
        "green spot": pytest.approx((104 / 128, 40 / 64)),
    }
    assert [round(one.confidence, 2) for one in seen] == [1, 1]
    assert {one.time for one in seen} == {2.5}


@needs_vision
def test_of_boxes_that_overlap_the_surest_stays(folder: Path) -> None:
    assert len(loaded(folder).look(picture((0, 0, RED), width=64), None, 0)) == 1
    (folder / "spots.json").write_text(json.dumps({"overlap": 1}))
    assert len(loaded(folder).look(picture((0, 0, RED), width=64), None, 0)) == 4
    (folder / "spots.json").write_text(json.dumps({"confidence": 0.9}))
    assert not loaded(folder).look(picture((0, 0, (0, 0, 200)), width=64), None, 0)
    assert not loaded(folder).look(picture(), None, 0)


@needs_vision
def test_a_model_that_takes_any_size_gets_the_one_that_is_usual(folder: Path) -> None:
    write_model(
        folder / "spots.onnx",
        [node("Conv", ["picture", "weights"], "a"), node("ReduceMean", ["a"], "b", axes=[3], keepdims=0)],
        {"weights": np.zeros((6, 3, 1, 1), np.float32)},
        {"picture": ["batch", 3, "height", "width"]},
        {"b": ["batch", 6, "boxes"]},
    )
    assert not loaded(folder).look(picture((0, 0, RED)), None, 0)


@needs_vision
@pytest.mark.parametrize(
    ("labels", "words"),
    [("one", "for 1 labels it must be 1 × 5 × boxes or 1 × boxes × 6"), ("a\nb\nc", "its output is 1 × 6 × 64")],
)
def test_labels_that_do_not_fit_the_model_are_refused(folder: Path, labels: str, words: str) -> None:
    (folder / "spots.txt").write_text(labels)
    with pytest.raises(CannotAnswer, match=words):
        loaded(folder)


@needs_vision
@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_damaged_model_is_refused(folder: Path, kept: int) -> None:
    path = folder / "spots.onnx"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CannotAnswer, match=r"spots\.onnx cannot be loaded"):
        loaded(folder)


@needs_vision
@pytest.mark.parametrize("shape", [[1, 3, 64], [1, 1, 64, 64], [2, 3, 64, 64], [1, 3, 64, 90_000]])
def test_a_model_that_takes_no_picture_is_refused(folder: Path, shape: list[int]) -> None:
    write_model(folder / "spots.onnx", [node("Relu", ["x"], "y")], {}, {"x": shape}, {"y": shape})
    with pytest.raises(CannotAnswer, match=r"spots\.onnx cannot be used: its? "):
        loaded(folder)


@pytest.mark.parametrize(
    ("setting", "name", "words"),
    [
        ("", SPOTS, "MILLRACE_DETECTOR_MODELS"),
        ("folder", "onnx:other", "has no file other.onnx"),
        ("folder", "onnx:../spots", "letters, digits"),
        ("nowhere", SPOTS, "has no file spots.onnx"),
    ],
)
def test_a_model_that_is_not_there_is_named(folder: Path, setting: str, name: str, words: str) -> None:
    with pytest.raises(NoModel, match=words):
        find_onnx(str(folder if setting == "folder" else folder / setting) if setting else "", name)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("txt", None, "has no labels. Put them into spots"),
        ("txt", b"", "a label in each line"),
        ("txt", b"a\n\nb", "a label in each line"),
        ("txt", b"\xff\xfe", "UTF-8"),
        ("txt", b"a" * 200, "too much"),
        ("json", b"{", "spots.json must be as"),
        ("json", b'{"confidence": 2}', "from 0 to 1"),
        ("json", b'{"nms": 0.5}', "spots.json must be as"),
    ],
)
def test_files_beside_a_model_that_are_wrong_are_named(
    folder: Path, file: str, content: bytes | None, words: str
) -> None:
    path = folder / f"spots.{file}"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(NoModel, match=words):
        find_onnx(str(folder), SPOTS)


def test_another_model_labels_or_thresholds_change_its_identity(folder: Path) -> None:
    found = [find_onnx(str(folder), SPOTS).identity()]
    write_spot_detector(folder / "spots.onnx", with_objectness=True)
    found.append(find_onnx(str(folder), SPOTS).identity())
    (folder / "spots.txt").write_text("rouge\nvert")
    found.append(find_onnx(str(folder), SPOTS).identity())
    (folder / "spots.json").write_text('{"overlap": 0.5}')
    found.append(find_onnx(str(folder), SPOTS).identity())
    assert len(set(found)) == 4
    assert find_onnx(str(folder), SPOTS).identity() == found[-1]
    assert names_of(str(folder)) == [SPOTS]
    assert names_of("") == []
