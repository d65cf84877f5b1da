"""What `manage.py check` says of the tools of jobs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.checks.registry import registry

from media_jobs.ffmpeg import sandbox
from media_jobs.system_checks import tools
from media_jobs.worker.slot import equipment

ROOT = Path(__file__).resolve().parents[2]


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


def test_the_check_command_runs_the_checks_of_this_app(tmp_path: Path) -> None:
    environment = os.environ | {
        "MILLRACE_HOME": str(tmp_path),
        "MILLRACE_ENV_FILE": "none",
        "MILLRACE_FFMPEG": "/bin/true",
    }
    del environment["DJANGO_SETTINGS_MODULE"]
    check = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert check.returncode == 1
    assert "media_jobs.E001" in check.stderr


def test_the_checks_of_uploads_are_registered() -> None:
    assert "uploads.system_checks" in {check.__module__ for check in registry.registered_checks}
