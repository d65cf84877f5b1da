"""What a small upload asks of the database: that is most of what it costs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from model_bakery import baker

from media_jobs.models import Job
from media_jobs.queue import single_flight
from tests.support.many_jobs import a_file, an_owner, pile
from uploads.models import MediaFile, SinkMark, Upload
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers.admission import Announcement
from uploads.transfers.reception import Reception

pytestmark = pytest.mark.django_db
# Queries, with savepoints, as a test is one transaction. Another one costs each upload up to a millisecond.
ADMITTED, STORED = 9, 21  # the last two: the name for the search, and which presets run on arrival


@pytest.fixture
def owner(tmp_path: Path, settings: Any) -> User:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media", min_free=0)
    SinkMark.objects.all().delete()
    adopt(sink())
    account: User = baker.make(User, username="alice")
    return account


def send(owner: User, content: bytes) -> tuple[MediaFile, int, int]:
    """The file of a whole upload, and how many queries were asked before its bytes and after them."""
    announcement = Announcement(owner, "film.mp4", Upload.Protocol.PUT, size=len(content), length=len(content))
    with CaptureQueriesContext(connection) as before:
        reception = Reception.open(announcement)
    with reception:
        reception.feed(content)
        with CaptureQueriesContext(connection) as after:
            return reception.commit(), len(before), len(after)


def test_a_small_upload_asks_no_more_than_it_needs(owner: User, clip: bytes) -> None:
    send(owner, clip + b"first")  # the owner's first has a share of the lane to be made
    file, before, after = send(owner, clip)
    assert Job.objects.filter(file=file, operation="inspect", automatic=True).count() == 1
    assert before <= ADMITTED
    assert after <= STORED


@contextmanager
def plans(found: list[str]) -> Iterator[None]:
    """Gather how the database carries out each SELECT, given its parameters as they are."""
    asked: list[tuple[str, Any]] = []

    def listen(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT"):
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen):
        yield
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        for sql, params in asked:
            cursor.execute(f"{explain} {sql}", params)
            found.append("\n".join(str(row[-1]) for row in cursor.fetchall()))


@pytest.fixture
def many_succeeded_jobs() -> None:
    """Enough jobs, with statistics, that the planner prefers an index to reading them all."""
    pile(3000, [a_file(an_owner())], "thumbnail")
    Job.objects.update(status=Job.Status.SUCCEEDED, progress=1, finished_at=Now())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE media_jobs_job")


@pytest.mark.usefixtures("many_succeeded_jobs")
def test_the_same_work_is_found_by_its_key_and_not_among_all_jobs() -> None:
    for ask in (single_flight.is_known, single_flight.find_leader, single_flight.find_result):
        found: list[str] = []
        with plans(found):
            assert not ask(uuid4().hex * 2)
        assert found, ask
        assert all("job_same_work" in plan or "job_leads_once" in plan for plan in found), (ask, found)
