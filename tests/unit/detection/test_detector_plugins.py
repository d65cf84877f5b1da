"""Detectors of plug-ins: what a package must have, and what is said of one that cannot be used."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from media_jobs.detection import registry
from media_jobs.detection.plugin_api import FilterDetector, Find, FrameDetector, Marked
from media_jobs.operations import get, parse, schema
from media_jobs.queue import plugin_reports
from tests.support.plugin_packages import install_package

GROUP = "millrace.detectors"


class Good(FrameDetector):
    name = "good"
    title = "Good things"
    things = ("thing", "things")
    module = __name__


class OneThing(Good):
    name = "one_thing"
    things = ("thing",)  # type: ignore[assignment]


class WithExtra(Good):
    name = "with_extra"
    extra = "vision"


class WithoutModule(FrameDetector):
    name = "without_module"
    title = "Nothing"
    things = ("thing", "things")


class WithoutMedia(FilterDetector):
    name = "without_media"
    title = "Nothing"
    things = ("thing", "things")
    keys = ("lavfi.a",)

    def filters(self) -> Sequence[str]:
        return ["null"]

    def finds(self, marked: Iterable[Marked], end: float) -> Sequence[Find]:
        return []


class Taken(Good):
    name = "scenes"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    registry._plugins.cache_clear()
    yield tmp_path
    registry._plugins.cache_clear()


def test_a_detector_is_found_by_its_entry_point_and_can_be_chosen(site: Path) -> None:
    install_package(site, "good-package", f"good = {__name__}:Good", group=GROUP)
    operation = get("detect")
    assert "good" in schema(operation)["properties"]["detectors"]["items"]["enum"]
    params = parse(operation, {"detectors": ["good", "scenes"]})
    assert list(params.model_dump()["detectors"]) == ["scenes", "good"]
    assert operation.model_identity(params, {}) == "good good-package 1.0"  # another version may find something else
    assert registry.broken_plugins() == []


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("absent = no_such_module:Detector", "No module named 'no_such_module'"),
        (f"no_detector = {__name__}:site", "It is not a Detector."),
        (f"other = {__name__}:Good", "Its name is “good”, but that of its entry point is “other”."),
        (f"scenes = {__name__}:Taken", "The name “scenes” is taken by another detector."),
        (f"one_thing = {__name__}:OneThing", "Its things must be two words: one and many."),
        (f"with_extra = {__name__}:WithExtra", "It may not need an extra"),
        (f"without_module = {__name__}:WithoutModule", "It has no module."),
        (f"without_media = {__name__}:WithoutMedia", "Its media must be video or audio."),
    ],
)
def test_one_that_cannot_be_used_is_left_out_with_the_reason(site: Path, point: str, reason: str) -> None:
    install_package(site, "broken-package", point, version="2.3", group=GROUP)
    install_package(site, "good-package", f"good = {__name__}:Good", group=GROUP)
    assert registry.find_detector("good") is not None
    [broken] = registry.broken_plugins()
    assert (broken.name, broken.package) == (point.partition(" ")[0], "broken-package 2.3")
    assert reason in broken.reason
    assert broken in plugin_reports.broken()
