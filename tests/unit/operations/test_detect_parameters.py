"""The parameters of detect: which detectors, where they look, and patterns that no plate can make slow."""

import re
import time
from typing import Any

import pytest

from media_jobs.admin.parameter_forms import ParamsForm
from media_jobs.errors import WrongParams
from media_jobs.operations import get, parse, schema
from media_jobs.operations.base import HEAVY, canonical
from media_jobs.operations.detecting.parameters import DetectParams
from media_jobs.operations.detecting.region import Region

DETECT = get("detect")


def parsed(**raw: Any) -> DetectParams:
    params = parse(DETECT, {"detectors": ["scenes"], **raw})
    assert isinstance(params, DetectParams)
    return params


def refused(**raw: Any) -> str:
    with pytest.raises(WrongParams) as caught:
        parsed(**raw)
    [[message]] = caught.value.errors.values()
    return str(message)


def test_detectors_in_any_order_mean_the_same() -> None:
    ways = [["silence", "scenes"], ["scenes", "silence", "scenes"], "silence, scenes"]
    assert {parsed(detectors=way).detectors for way in ways} == {("scenes", "silence")}


@pytest.mark.parametrize(
    ("detectors", "message"),
    [
        (["scenes", "ghosts"], "detectors has no “ghosts”. Choose from: "),
        ([], "detectors must be some of "),
        (None, "detectors must be some of "),
        ([7], "detectors must be some of "),
    ],
)
def test_at_least_one_known_detector_is_needed(detectors: Any, message: str) -> None:
    assert refused(detectors=detectors).startswith(message)


def test_forms_show_the_detectors_as_checkboxes() -> None:
    choices = schema(DETECT)["properties"]["detectors"]["items"]["enum"]
    form = ParamsForm(DETECT, {"param-detectors": ["scenes", "black"]}, before={"detectors": ["silence"]})
    assert form.is_valid(), form.errors
    assert form.params["detectors"] == ["scenes", "black"]
    shown = ParamsForm(DETECT, before={"detectors": ["silence"]}).as_p()
    boxes = re.findall(r'<input[^>]*type="checkbox"[^>]*>', shown)
    assert [re.search('value="(.*?)"', box)[1] for box in boxes] == choices  # type: ignore[index]
    assert [box for box in boxes if box.endswith(" checked>")] == [box for box in boxes if 'value="silence"' in box]
    nothing = ParamsForm(DETECT, {"param-detectors": []})
    assert not nothing.is_valid()
    assert nothing.errors["detectors"]


@pytest.mark.parametrize(
    "region",
    [
        "10%, 20%, 50%, 50%",
        "10%,20%,50%,50%",
        "0.1, 0.2, 0.5, 0.5",
        [0.1, 0.2, 0.5, 0.5],
        {"x": 0.1, "y": 0.2, "width": 0.5, "height": 0.5},
    ],
)
def test_a_region_may_be_written_in_several_ways(region: Any) -> None:
    params = parsed(region=region)
    assert params.area == Region(0.1, 0.2, 0.5, 0.5)
    assert parsed(**canonical(params)) == params


@pytest.mark.parametrize(
    "region",
    [
        "",
        "10%, 20%",
        "60%, 0%, 50%, 50%",
        "-1%, 0, 1, 1",
        "0, 0, 0, 1",
        [0, 0, 1, float("nan")],
        [0, 0, True, 1],
        "left",
        {},
    ],
)
def test_a_region_must_be_inside_the_picture(region: Any) -> None:
    assert refused(region=region).startswith("region must be four numbers, x, y, width and height, such as 10%")


@pytest.mark.parametrize(
    "pattern",
    [
        "[A-Z]{2}[0-9]{3}[A-Z]{2}",
        r"[A-Z]{1,3}-?[A-Z]{1,2}\d{1,4}[EH]?",
        "(AB|CD|EF)[0-9]+",
        "(?:B|HH)-[A-Z]{1,2} [0-9]{1,4}",
        "[^IO]{4,8}",
    ],
)
def test_usual_patterns_are_taken(pattern: str) -> None:
    assert parsed(plate_pattern=pattern).plate_pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(A+)+", "plate_pattern must be made of letters"),
        ("(A|A)*", "plate_pattern must be made of letters"),
        ("(?=A)B", "plate_pattern must be made of letters"),
        (r"(A)\1", "plate_pattern must be made of letters"),
        ("A*?", "plate_pattern must be made of letters"),
        (".*" * 9, "plate_pattern may have 8 of"),
        ("(A", "plate_pattern is no regular expression"),
        ("A" * 101, "plate_pattern must be"),
        ("", "plate_pattern must be"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str, message: str) -> None:
    assert refused(plate_pattern=pattern).startswith(message)


def test_the_worst_pattern_that_is_taken_is_quick_enough_for_a_plate() -> None:
    worst = parsed(plate_pattern=".*" * 8 + "X").plate_pattern
    assert worst is not None
    began = time.process_time()
    assert re.fullmatch(worst, "A" * 20) is None
    assert time.process_time() - began < 5


def test_detectors_that_are_filters_run_where_no_extra_is_installed() -> None:
    params = parsed(detectors=["motion", "scenes", "silence"])
    assert (DETECT.lane_of(params), list(DETECT.extras_of(params))) == (HEAVY, [])
    assert DETECT.model_identity(params, {}) is None
