"""What is said of lanes to whoever watches the machine."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from media_jobs.models import Job, Worker
from media_jobs.queue import lanes
from tests.support.job_rows import a_job, a_worker, started
from uploads import hooks
from uploads.storage.marker import adopt
from uploads.storage.stores import sink

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def disk() -> None:
    """It can be seen: without, no job is begun."""
    adopt(sink())


@pytest.fixture(autouse=True)
def model_worker() -> None:
    """Needed only where an extra is installed."""
    a_worker("inference")


def test_a_lane_without_a_live_worker_is_named_and_the_server_is_ready_all_the_same() -> None:
    a_worker(), a_worker("bulk")
    dead = a_worker("heavy")
    assert lanes.troubles() == []
    Worker.objects.filter(pk=dead.pk).update(seen_at=Now() - timedelta(minutes=1))
    assert lanes.troubles() == ["No worker of the lane heavy is running."]
    ready = Client().get("/readyz").json()
    assert ready["workers"] == "No worker of the lane heavy is running."


def test_the_dashboard_names_a_lane_without_workers_once(admin_client: Client) -> None:
    a_worker("heavy")
    Job.objects.filter(pk=a_job().pk).update(queued_at=Now() - timedelta(minutes=5))
    assert [warning.code for warning in hooks.current_warnings() if "lane" in warning.code] == ["lane_dead:quick"]
    warnings = admin_client.get("/admin/").context["warnings"]
    assert [warning for warning in warnings if "quick" in warning] == ["No worker of the lane quick is running."]


def test_a_worker_that_does_not_take_what_waits_for_it_is_named(settings: Any) -> None:
    a_worker(), a_worker("bulk"), a_worker("heavy")
    long_ago = Now() - timedelta(minutes=5)
    Worker.objects.update(heard_at=long_ago)
    assert lanes.troubles() == []  # there was nothing to hear of
    job = a_job()
    assert lanes.troubles() == []
    Job.objects.filter(pk=job.pk).update(queued_at=long_ago)
    assert lanes.troubles() == ["Jobs wait in the lane quick, but 1 idle worker does not take them."]
    settings.UPLOADS = replace(settings.UPLOADS, min_free=10**18)
    assert lanes.troubles() == []  # nobody is to take it while the disk is full
    settings.UPLOADS = replace(settings.UPLOADS, min_free=0)
    assert lanes.troubles()
    lanes.pause("quick")
    assert lanes.troubles() == []


def test_queues_are_measured_by_lane_and_status() -> None:
    a_job()
    started(a_worker(), a_job(params={"width": 20}, priority=1))
    said = Client().get("/metrics").content.decode().splitlines()
    assert 'millrace_jobs{lane="quick",status="queued"} 1.0' in said
    assert 'millrace_jobs{lane="quick",status="running"} 1.0' in said
    assert 'millrace_jobs{lane="heavy",status="queued"} 0.0' in said
