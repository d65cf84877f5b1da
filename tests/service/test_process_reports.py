"""Processes that fell: what is said of them in the admin and in the metrics, and by whom."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from config.processes import health_check, reports
from config.processes.reports import Reporter
from media_jobs.worker.process_table import Process, process_troubles
from tests.support.in_server import startup
from tests.support.run import command_for
from tests.support.server import ROOT, environment

NOW = time.time()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    settings.HOME = tmp_path
    return tmp_path


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (Process("web", 5, NOW), []),
        (Process("web", 5, NOW - 7200, 3, 1, NOW - 7200), []),
        (
            Process("web", 5, NOW, 1, -9, NOW - 60),
            ["The process web was restarted once. It last ended 1 min 0 s ago (killed by SIGKILL)."],
        ),
        (
            Process("quick 1", 5, NOW, 4, 70, NOW - 60),
            ["The process quick 1 was restarted 4 times. It last ended 1 min 0 s ago (exit code 70)."],
        ),
        (
            Process("web", None, NOW - 60, 4, None, NOW - 60),
            ["The process web is down. It ended 1 min 0 s ago (it could not be started) and will be restarted."],
        ),
    ],
)
def test_one_that_is_down_or_fell_lately_is_told_of(
    process: Process, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    with Reporter("serve") as reporter:
        reporter.write([process])
        assert process_troubles() == words


def test_a_container_with_a_process_that_is_down_is_unhealthy() -> None:
    with Reporter("worker-quick") as reporter:
        reporter.write([Process("quick 1", 5, NOW), Process("quick 2", None, NOW)])
        assert list(health_check.problems()) == ["quick 2 is down"]
        reporter.write([Process("quick 1", 5, NOW), Process("quick 2", 6, NOW)])
        assert list(health_check.problems()) == []


def test_the_report_of_one_that_was_killed_counts_for_nothing_and_is_removed(home: Path) -> None:
    killed = subprocess.Popen(
        command_for(startup.report_until_input_ends), cwd=ROOT, env=environment(home, ""), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    with Reporter("serve") as reporter:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"written\n"
        reporter.write([Process("web", 2, NOW)])
        assert [process.restarts for process in reports.read()] == [7, 0]
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert [process.restarts for process in reports.read()] == [0]
    assert len(list((home / "run").glob("other-*.json"))) == 1
    with Reporter("serve"):
        assert list((home / "run").glob("other-*")) == []
    assert list((home / "run").iterdir()) == []


def test_a_report_that_cannot_be_written_or_read_keeps_nobody_from_work(home: Path) -> None:
    (home / "run").write_text("no folder")
    with Reporter("serve") as reporter:
        reporter.write([Process("web", 1, NOW)])
        assert reports.read() == []


@pytest.mark.django_db
def test_staff_and_prometheus_are_told() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    words = "The process web was restarted 3 times."
    pages = [reverse("admin:index"), reverse("now"), reverse("admin:media_jobs_worker_changelist")]
    assert not any(words in client.get(page).content.decode() for page in pages)
    with Reporter("serve") as reporter, Reporter("worker-heavy") as other:
        reporter.write([Process("web", 1, NOW, 3, 1, time.time())])
        other.write([Process("heavy 1", 1, NOW), Process("heavy 2", 1, NOW, 2, 1, time.time())])
        assert all(words in client.get(page).content.decode() for page in pages)
        said = client.get("/metrics").content.decode().splitlines()
    assert 'millrace_process_restarts_total{name="web"} 3.0' in said
    assert 'millrace_process_restarts_total{name="heavy 1"} 0.0' in said
    assert 'millrace_process_restarts_total{name="heavy 2"} 2.0' in said
