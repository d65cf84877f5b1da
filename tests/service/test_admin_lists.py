"""The lists of the admin: filters, orders and searches find the right rows, and use an index."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from model_bakery import baker

from media_jobs.admin.operation_filter import operations_in
from media_jobs.models import Job
from uploads import list_search
from uploads.models import Blob, MediaFile, Upload

pytestmark = pytest.mark.django_db
FILES, UPLOADS, JOBS = "/admin/uploads/mediafile/", "/admin/uploads/upload/", "/admin/media_jobs/job/"
SIZES = [500, 7_000, 2_000_000, 3_000_000_000]
KINDS, ORIGINS = ["video", "audio", "image", "subtitle"], ["upload", "ingest", "job"]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.fixture(scope="module")
def made_files(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[MediaFile]]:
    """Once for all these tests, each of which undoes what it does to them."""
    with django_db_blocker.unblock():
        made = make_files()
    yield made
    with django_db_blocker.unblock():
        MediaFile.objects.all().delete()
        Blob.objects.all().delete()
        User.objects.filter(pk__in={file.owner_id for file in made}).delete()


@pytest.fixture
def files(made_files: list[MediaFile], db: None) -> list[MediaFile]:
    return made_files


def make_files() -> list[MediaFile]:
    """300 of each sort and size, a day apart, of two owners; every second one's name begins with CLIP."""
    owners = [User.objects.create(username=name) for name in ("alice", "bob")]
    blobs = [
        Blob(
            sink="local", key=str(number), sha256=f"{number:06x}".ljust(64, "e"), size=SIZES[number % 4],
            kind=KINDS[number % 4], state="stored", media_type="video/mp4",
        )
        for number in range(300)
    ]  # fmt: skip
    Blob.objects.bulk_create(blobs)
    made = [
        MediaFile(
            blob=blob, kind=blob.kind, size=blob.size, owner=owners[number % 50 == 7], origin=ORIGINS[number % 3],
            name=f"{'Clip' if number % 2 else 'Übung'} {number:03}.mp4",
        )
        for number, blob in enumerate(blobs)
    ]  # fmt: skip
    MediaFile.objects.bulk_create(made)
    for number, file in enumerate(made):
        file.created_at = NOW - timedelta(days=number)
    MediaFile.objects.bulk_update(made, ["created_at"])
    return made


def listed(staff: Client, path: str, **asked: str) -> list[Any]:
    answer: Any = staff.get(path, asked)
    assert answer.status_code == 200, (path, asked, answer)
    return list(answer.context_data["cl"].result_list)


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is listed counts: rendering a hundred rows takes ten times as long as finding them."""
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"kind__exact": "audio"}, lambda file: file.kind == "audio"),
        ({"kind__exact": ""}, lambda file: True),
        ({"origin__exact": "ingest"}, lambda file: file.origin == "ingest"),
        ({"owner": "bob"}, lambda file: file.owner.username == "bob"),
        ({"owner": "bo"}, lambda file: False),
        ({"created_at_from": "2026-02-01"}, lambda file: file.created_at >= datetime(2026, 2, 1, tzinfo=UTC)),
        ({"created_at_to": "2025-12-31"}, lambda file: file.created_at < datetime(2026, 1, 1, tzinfo=UTC)),
        ({"created_at_to": "9999-12-31", "created_at_from": "0001-01-01"}, lambda file: True),
        ({"size_from": "2 MB"}, lambda file: file.size >= 2_000_000),
        ({"size_from": "7 KB", "size_to": "7KB"}, lambda file: file.size == 7_000),
        ({"size_from": "99999999999999 TB"}, lambda file: False),
        ({"kind__exact": "video", "origin__exact": "job", "size_to": "1 GB"},
         lambda file: (file.kind, file.origin) == ("video", "job")),
        ({"kind__exact": "video", "q": "übung 0"}, lambda file: file.kind == "video" and file.name < "Übung 1"),
        ({"q": "clip 1"}, lambda file: file.name.startswith("Clip 1")),
        ({"q": "lip"}, lambda file: False),
        ({"q": "%"}, lambda file: False),
        ({"q": "00002A"}, lambda file: file.blob.sha256.startswith("00002a")),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unrendered")
def test_files_are_narrowed(asked: dict[str, str], wanted: Any, staff: Client, files: list[MediaFile]) -> None:
    if connection.vendor == "sqlite" and "q" in asked:
        asked["q"] = asked["q"].replace("ü", "Ü")  # whose lower case SQLite does not know
    right = [file.pk for file in files if wanted(file)]
    assert [file.pk for file in listed(staff, FILES, **asked)] == right[:100]
    assert [file.pk for file in listed(staff, FILES, p="2", **asked)] == right[100:200]


def test_a_file_is_found_by_its_id(staff: Client, files: list[MediaFile]) -> None:
    assert listed(staff, FILES, q=f" {files[5].pk} ") == [files[5]]
    assert listed(staff, FILES, q=files[5].pk.hex.upper()) == [files[5]]


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("name", lambda file: file.name.lower()),
        ("size_words", lambda file: file.size),
        ("created_at", lambda file: file.created_at),
    ],
)  # fmt: skip
@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.usefixtures("unrendered")
def test_files_are_sorted(column: str, key: Any, downwards: bool, staff: Client, files: list[MediaFile]) -> None:
    page: Any = staff.get(FILES)
    columns = page.context_data["cl"].list_display
    asked = f"{'-' if downwards else ''}{columns.index(column)}"
    right = sorted(files, key=lambda file: (key(file), file.pk.hex), reverse=downwards)
    assert listed(staff, FILES, o=asked, p="3") == right[200:300]
    assert listed(staff, FILES, o=f"{asked}.1.-2") == right[:100]  # and by nothing else


@pytest.mark.parametrize(("page", "status"), [("0", 302), ("-1", 302), ("1" * 40, 302), ("x", 200), ("9999", 200)])
def test_a_page_that_is_not_there_is_no_failure(
    page: str, status: int, staff: Client, files: list[MediaFile]
) -> None:
    assert staff.get(FILES, {"p": page}).status_code == status


@pytest.mark.parametrize("asked", [{"size_from": "big"}, {"created_at_to": "yesterday"}, {"size_to": "-1"}])
def test_a_bound_that_cannot_be_read_is_said(asked: dict[str, str], staff: Client, files: list[MediaFile]) -> None:
    answer = staff.get(FILES, asked)
    assert f"“{next(iter(asked.values()))}” is not a valid " in answer.content.decode()
    assert len(answer.context["cl"].result_list) == 100


def test_more_matches_than_are_looked_at_are_said(
    staff: Client, files: list[MediaFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_search, "MOST", 20)
    answer = staff.get(FILES, {"q": "clip"})
    assert [str(message) for message in get_messages(answer.wsgi_request)] == [
        "More than 1000 rows match. 20 of them are shown; enter more of the name."
    ]
    assert {file.name for file in answer.context["cl"].result_list} == {f"Clip {n:03}.mp4" for n in range(1, 40, 2)}


def make_job(file: MediaFile, **more: Any) -> Job:
    job: Job = baker.make(
        Job, file=file, owner=file.owner, version=1, error_code="x" if more.get("status") == "failed" else "",
        finished_at=None if more.get("status") == "queued" else timezone.now(), **more,
    )  # fmt: skip
    return job


def test_jobs_and_uploads_are_narrowed_and_found(staff: Client, files: list[MediaFile]) -> None:
    done = make_job(files[1], operation="thumbnail", lane="quick", status="failed")
    waits = make_job(files[7], operation="transcode", lane="heavy", status="queued")
    for asked in ({"status__exact": "failed"}, {"operation": "thumbnail"}, {"lane": "quick"}, {"owner": "alice"}):
        assert listed(staff, JOBS, **asked) == [done]
    assert listed(staff, JOBS, operation="", lane="", status__exact="", owner="") == [waits, done]
    assert listed(staff, JOBS, created_at_to="2020-01-01") == []
    for text in ("clip 007", "Transcode", str(waits.pk)):
        assert listed(staff, JOBS, q=text) == [waits]
    upload = baker.make(Upload, owner=files[0].owner, name="Film.mp4", protocol="tus", state="receiving")
    for asked in ({"state__exact": "receiving"}, {"protocol__exact": "tus"}, {"owner": "alice"}, {"q": "fiLM"}):
        assert listed(staff, UPLOADS, **asked) == [upload]
    assert listed(staff, UPLOADS, state__exact="failed") == []


def test_no_list_counts_or_asks_once_per_row(staff: Client, files: list[MediaFile]) -> None:
    for file in files[:30]:
        make_job(file, operation="inspect", lane="quick", status="queued")
    for path in (FILES, JOBS, UPLOADS):
        said = staff.get(path, {"owner": "alice", "_facets": "True"}).content.decode()
        assert "Show counts" not in said
        assert "Show all" not in said  # nor, before it, how many
        with CaptureQueriesContext(
            connection,
        ) as asked:
            listed(staff, path)
        statements = [query["sql"] for query in asked.captured_queries]
        assert len(statements) <= 8, statements
        assert not [one for one in statements if "COUNT(" in one]


def ids_asked(staff: Client, path: str, **asked: str) -> Iterator[str]:
    """The statements that tell which rows a list shows: of its table, and with a limit."""
    with CaptureQueriesContext(connection) as queries:
        listed(staff, path, **asked)
    for query in queries.captured_queries:
        if re.match(r"SELECT.*FROM \"(uploads_(mediafile|upload|blob)|media_jobs_job)\".*LIMIT", query["sql"]):
            yield query["sql"]


def plan_of(statement: str) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a table of a few rows is read whole, and rightly so
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")  # and sorted, which costs as little
        cursor.execute(f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {statement}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


NEWEST = {
    FILES: [{}, {"kind__exact": "audio"}, {"origin__exact": "job"}, {"owner": "bob"}, {"size_from": "1 MB"},
            {"created_at_from": "2026-02-01"}, {"o": "name"}, {"o": "-name"}, {"o": "size_words"},
            {"o": "-size_words"}, {"kind__exact": "image", "o": "size_words"}, {"owner": "alice", "o": "-name"}],
    JOBS: [{}, {"status__exact": "failed"}, {"operation": "inspect"}, {"lane": "heavy"}, {"owner": "bob"},
           {"created_at_to": "2026-02-01"}],
    UPLOADS: [{}, {"state__exact": "failed"}, {"owner": "bob"}, {"protocol__exact": "tus"}],
}  # fmt: skip
SEARCHES = [(FILES, "clip 01"), (FILES, "00002a"), (JOBS, "clip 01"), (UPLOADS, "film")]


def test_the_operations_of_all_jobs_are_found_by_an_index(files: list[MediaFile]) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert operations_in(Job) == sorted(set(Job.objects.values_list("operation", flat=True)))
    plan = plan_of(queries.captured_queries[0]["sql"])
    assert "job_newest_of_operation" in plan, plan


@pytest.mark.parametrize(("path", "asked"), [(path, asked) for path, every in NEWEST.items() for asked in every])
@pytest.mark.usefixtures("unrendered")
def test_a_list_is_read_in_the_order_of_an_index(
    path: str, asked: dict[str, str], staff: Client, files: list[MediaFile]
) -> None:
    if "o" in asked:
        page: Any = staff.get(path)
        name, columns = asked["o"].lstrip("-"), page.context_data["cl"].list_display
        asked = {"o": asked["o"].replace(name, str(columns.index(name)))}
    [statement] = ids_asked(staff, path, **asked)
    plan = plan_of(statement)
    assert "TEMP B-TREE" not in plan, plan
    assert "Sort" not in plan, plan
    assert re.search(r"USING (COVERING )?INDEX|Index (Only )?Scan", plan), plan


@pytest.mark.parametrize(("path", "text"), SEARCHES)
@pytest.mark.usefixtures("unrendered")
def test_a_search_goes_by_an_index(path: str, text: str, staff: Client, files: list[MediaFile]) -> None:
    statements = list(ids_asked(staff, path, q=text))
    assert statements
    for statement in statements:
        plan = plan_of(statement)
        assert "Seq Scan" not in plan, plan
        assert not re.search(r"SCAN (?!.*USING)", plan), plan
    assert any("_by_name" in plan_of(one) for one in statements)
