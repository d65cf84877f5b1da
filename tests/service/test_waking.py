"""What is sent to idle workers: little, and nothing that depends on the clocks of two machines."""

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F

from config.celery import make_folders
from media_jobs.models import Job, Worker
from media_jobs.queue import notify
from tests.support.job_rows import a_job, a_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not settings.BROKER_URL.startswith("filesystem:"):
        pytest.fail("these read messages as files")
    make_folders()
    monkeypatch.setattr(notify, "_sent", {})
    _take_messages()
    yield
    _take_messages()


def _take_messages() -> list[dict[str, Any]]:
    found = list((settings.HOME / "broker").glob("*.msg"))
    messages = [json.loads(path.read_text()) for path in found]
    for path in found:
        path.unlink()
    return messages


def test_a_message_does_not_expire_by_anybodys_clock() -> None:
    a_worker()
    a_job()
    assert notify.wake_idle_again() == 1
    [message] = _take_messages()
    assert message["headers"]["expires"] is None
    assert "expiration" not in message["properties"]


def test_workers_that_do_nothing_are_told_again_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(notify, "time", SimpleNamespace(monotonic=lambda: now))
    a_worker()
    a_job()
    sent = []
    for second in range(40):
        now = 1000.0 + second
        sent += [second] * notify.wake_idle_again()
    assert sent == [0, 1, 3, 7, 15, 25, 35]
    Worker.objects.update(heard_at=F("heard_at") + timedelta(seconds=1))  # it has worked since
    assert notify.wake_idle_again() == 1
    assert notify.wake_idle() == 1  # other callers do not wait for the pause


def test_nobody_is_told_of_a_job_whose_input_is_too_large() -> None:
    worker, job = a_worker(), a_job()
    Worker.objects.filter(pk=worker.pk).update(room=10**9)
    Job.objects.filter(pk=job.pk).update(input_bytes=2 * 10**9)
    assert notify.wake_idle() == 0
    Worker.objects.filter(pk=worker.pk).update(room=2 * 10**9)
    assert notify.wake_idle() == 1
