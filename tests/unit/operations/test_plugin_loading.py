"""Plug-ins: what a package must have, and what is said of one that cannot be used."""

from pathlib import Path
from typing import Any

import pytest

from media_jobs.entry_points import BrokenPlugin, Plugins
from media_jobs.errors import UnknownOperation
from media_jobs.operations import registry
from media_jobs.operations.base import QUICK, Operation, Outcome, Params, Work
from media_jobs.operations.registry import Registry, get
from media_jobs.operations.thumbnail import Thumbnail
from media_jobs.queue import plugin_reports
from media_jobs.system_checks import plugins as check_plugins
from tests.support.plugin_packages import install_package


class Good(Operation[Params]):
    name = "good"
    version = 1
    title = "Good"
    summary = "Does nothing."
    lane = QUICK
    kinds = frozenset({"video"})
    parameters = Params

    def run(self, work: Work[Params]) -> Outcome:
        return Outcome([])


class WrongLane(Good):
    name = "wrong_lane"
    lane = "gpu"


class WrongKinds(Good):
    name = "wrong_kinds"
    kinds = frozenset({"film"})


class WrongExtra(Good):
    name = "wrong_extra"
    extra = "torch"


class WrongParams(Good):
    name = "wrong_params"
    parameters = dict  # type: ignore[assignment]


class WithoutVersion(Operation[Params]):
    name = "without_version"

    def run(self, work: Work[Params]) -> Outcome:
        return Outcome([])


class Abstract(Operation[Params]):
    name = "abstract"


class Taken(Good):
    name = "thumbnail"


class BadName(Good):
    name = "Bad-Name"


class Raising(Good):
    name = "raising"

    def __init__(self) -> None:
        raise SystemExit("no licence")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_plugin_is_found_by_its_entry_point(site: Path) -> None:
    install_package(site, "good-package", f"good = {__name__}:Good")
    found = Registry(Thumbnail())
    assert list(found) == ["thumbnail", "good"]
    assert (found["good"].title, len(found), found.broken) == ("Good", 2, [])


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("absent = no_such_module:Operation", "No module named 'no_such_module'"),
        (f"absent = {__name__}:NoSuchClass", "NoSuchClass"),
        (f"no_operation = {__name__}:site", "It is not an Operation."),
        (f"other = {__name__}:Good", "Its name is “good”, but that of its entry point is “other”."),
        (f"thumbnail = {__name__}:Taken", "The name “thumbnail” is taken by another operation."),
        (f"Bad-Name = {__name__}:BadName", "Its name must have lower-case letters"),
        (f"wrong_lane = {__name__}:WrongLane", "There is no lane “gpu”. Choose one of: quick, bulk, heavy"),
        (f"wrong_kinds = {__name__}:WrongKinds", "Its kinds must be some of: audio, image, subtitle, video."),
        (f"wrong_extra = {__name__}:WrongExtra", "There is no extra “torch”."),
        (f"wrong_params = {__name__}:WrongParams", "Its parameters must be a subclass of Params."),
        (f"without_version = {__name__}:WithoutVersion", "It has no version."),
        (f"abstract = {__name__}:Abstract", "abstract"),
        (f"raising = {__name__}:Raising", "SystemExit: no licence"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_left_out_with_the_reason(site: Path, point: str, reason: str) -> None:
    install_package(site, "broken-package", point, version="2.3")
    install_package(site, "good-package", f"good = {__name__}:Good")
    found = Registry(Thumbnail())
    assert list(found) == ["thumbnail", "good"]  # the others work
    [broken] = found.broken
    assert (broken.name, broken.package) == (point.partition(" ")[0], "broken-package 2.3")
    assert reason in broken.reason


def test_of_two_packages_with_one_name_the_first_is_used(site: Path) -> None:
    for name in ("b-package", "a-package"):
        install_package(site, name, f"good = {__name__}:Good")
    found = Registry()
    assert list(found) == ["good"]
    assert [plugin.package for plugin in found.broken] == ["b-package 1.0"]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry of this process, with a plug-in that cannot be used."""
    assert isinstance(registry, Registry)
    found: Plugins[Any] = Plugins({}, [BrokenPlugin("bad", "bad-package 1.0", "ImportError: no libbad.so")])
    monkeypatch.setitem(vars(registry), "_plugins", found)


@pytest.mark.usefixtures("broken")
def test_a_plugin_that_cannot_be_used_is_reported_and_refused() -> None:
    [message] = check_plugins()
    assert message.id == "media_jobs.W004"
    assert "bad of the package bad-package 1.0 cannot be used. ImportError: no libbad.so" in message.msg
    [warning] = plugin_reports.warnings()
    assert (warning.code, warning.words) == (
        "plugin_unusable:bad", "The plug-in bad (bad-package 1.0) cannot be used. `manage.py check` tells why.",
    )  # fmt: skip
    with pytest.raises(UnknownOperation, match="The plug-in “bad” cannot be used"):
        get("bad")
    with pytest.raises(UnknownOperation, match="There is no such operation"):
        get("worse")
