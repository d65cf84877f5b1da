"""What `manage.py check` says of the tools of jobs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from media_jobs.ffmpeg import sandbox
from media_jobs.system_checks import tools
from media_jobs.worker.slot import equipment


@pytest.fixture(autouse=True)
def _found_anew() -> Iterator[None]:
    equipment.cache_clear()
    sandbox._probe.cache_clear()
    yield
    equipment.cache_clear()
    sandbox._probe.cache_clear()


def said(settings: Any, **wanted: Any) -> list[str]:
    settings.JOBS = replace(settings.JOBS, **wanted)
    return [str(message.id) for message in tools()]


def test_an_ffmpeg_that_is_none_is_an_error(settings: Any) -> None:
    assert said(settings, ffmpeg="/bin/true") == ["media_jobs.E001"]


def test_every_layer_that_does_not_hold_is_a_warning_and_the_network_a_loud_one(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert said(settings, sandbox="on") == ["media_jobs.W001", *["media_jobs.W002"] * 3]


def test_where_isolation_is_required_its_lack_is_an_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert said(settings, sandbox="require") == ["media_jobs.E002"]


def test_a_sandbox_that_was_switched_off_is_mentioned(settings: Any) -> None:
    assert said(settings, sandbox="off") == ["media_jobs.I001"]
