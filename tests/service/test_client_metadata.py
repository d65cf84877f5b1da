"""The client's own metadata: set at every entrance, and back in every answer, event, page, and rebuild."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from tests.support.api_client import api_client
from tests.support.api_requests import ask, keep, send
from tests.support.job_orders import JOBS, a_form
from tests.support.job_rows import a_file, a_job, a_user
from tests.support.local_store import Film, an_owner, lose_rows, own_store, upload
from tests.support.server import Server, form_part
from tests.support.tus_client import Client as TusClient
from tests.support.tus_client import metadata as upload_metadata
from uploads import text_index
from uploads.maintenance.rebuild import rebuild
from uploads.models import MediaFile, SearchText, Upload
from uploads.storage.files import describe_file
from uploads.storage.sidecars import Sidecar, write_changed

META: dict[str, Any] = {"camera": 7, "place": "Zürich", "more": {"tags": ["a", None]}}
TEXT = json.dumps(META)


def of_file(server: Server, pk: str) -> Any:
    return ask(server, f"files/{pk}/").json()["metadata"]


def test_each_kind_of_upload_brings_it(shared_server: Server, tus: TusClient, film: Film) -> None:
    plain = keep(shared_server, film())
    assert plain["metadata"] == {}
    made = {
        "query": shared_server.put(f"q.mp4?metadata={quote(TEXT)}", film()).json()["id"],
        "header": keep(shared_server, film(), Upload_Metadata=upload_metadata(metadata=TEXT)["Upload-Metadata"])[
            "id"
        ],
        "form": shared_server.post_form(a_form({"metadata": TEXT}, film())).json()["id"],
    }
    content = film()
    where = tus.new(len(content), upload_metadata(filename="t.mp4", metadata=TEXT))
    assert tus.look(where)["metadata"] == META
    tus.patch(where, 0, content)
    made["tus"] = tus.look(where)["file"]
    assert {how: of_file(shared_server, pk) for how, pk in made.items()} == dict.fromkeys(made, META)


@pytest.mark.parametrize(
    ("text", "status", "code"), [("[1]", 400, "invalid_metadata"), ("x" * 20_000, 413, "metadata_too_large")]
)
def test_what_is_wrong_is_refused_before_the_file(
    text: str, status: int, code: str, shared_server: Server, tus: TusClient, film: Film
) -> None:
    answers = [shared_server.post_form(a_form({"metadata": text}, film()))]
    if len(text) < 1000:
        answers.append(shared_server.put(f"q.mp4?metadata={quote(text)}", film()))
        answers.append(tus.create(5, upload_metadata(filename="t.mp4", metadata=text)))
    assert {(answer.status, answer.code) for answer in answers} == {(status, code)}


def test_metadata_after_the_file_is_refused_because_it_comes_too_late(shared_server: Server, film: Film) -> None:
    late = shared_server.post_form(a_form({}, film(), form_part("metadata", TEXT.encode())))
    assert (late.status, late.code) == (400, "malformed_form")
    assert "before the file" in late.json()["detail"]


def test_the_same_key_with_other_metadata_is_another_request(shared_server: Server, film: Film) -> None:
    content = film()
    answers = [
        shared_server.put(f"same.mp4{query}", content, {"Idempotency-Key": "described"})
        for query in ("?metadata={}", "", f"?metadata={quote(TEXT)}")
    ]
    assert [answer.status for answer in answers] == [201, 201, 422]


def test_it_is_replaced_as_a_whole(shared_server: Server, film: Film) -> None:
    file = keep(shared_server, film())
    for sent in (META, {"only": "this"}, {}):
        answer = send(shared_server, "PATCH", f"files/{file['id']}/", {"metadata": sent})
        assert answer.json()["metadata"] == sent
    both = send(shared_server, "PATCH", f"files/{file['id']}/", {"name": "new.mp4", "metadata": META}).json()
    assert (both["name"], both["metadata"]) == ("new.mp4", META)
    assert send(shared_server, "PATCH", f"files/{file['id']}/", {"name": "newer.mp4"}).json()["metadata"] == META
    assert send(shared_server, "PATCH", f"files/{file['id']}/", {"metadata": 5}).code == "invalid_metadata"
    assert of_file(shared_server, file["id"]) == META


def test_a_job_has_its_own_and_gives_it_to_the_file_that_comes_with_it(shared_server: Server, film: Film) -> None:
    fields = {"operation": "thumbnail", "metadata": TEXT}
    job = shared_server.post_form(a_form(fields, film()), path=JOBS).json()
    assert (job["metadata"], of_file(shared_server, job["file"])) == (META, META)
    [event, *_] = ask(shared_server, f"jobs/{job['id']}/events/").json()
    assert event["metadata"] == META
    order = {"operation": "thumbnail", "upload": {"name": "later.mp4", "size": 50}, "metadata": META}
    later = send(shared_server, "POST", "jobs/", order).json()
    found = shared_server.get(urlsplit(later["upload_url"]).path, user="alice").json()
    assert (later["metadata"], found["metadata"]) == (META, META)
    order["metadata"] = {"case": 1}
    other = send(
        shared_server, "POST", "jobs/", {"operation": "thumbnail", "file": job["file"], "metadata": {"case": 1}}
    )
    assert (other.json()["metadata"], of_file(shared_server, job["file"])) == ({"case": 1}, META)
    assert send(shared_server, "POST", "jobs/", {**order, "metadata": [1]}).code == "invalid_metadata"


@pytest.mark.django_db
def test_a_direct_upload_brings_it(settings: Any) -> None:
    client = api_client(a_user())
    answer = client.post("/api/v1/uploads/direct/", {"name": "a.mp4", "size": 9, "metadata": [1]}, format="json")
    assert answer.json()["code"] == "invalid_metadata"


@pytest.mark.django_db
def test_the_pages_of_the_admin_show_it_as_text(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    file = a_file()
    describe_file(file, {"<b>": "<script>"})
    job = a_job(metadata={"<b>": "<script>"})
    for page in (f"/admin/uploads/mediafile/{file.pk}/change/", f"/admin/media_jobs/job/{job.pk}/change/"):
        shown = client.get(page).content.decode()
        assert "&lt;b&gt;" in shown
        assert "&lt;script&gt;" in shown


@pytest.mark.django_db
def test_it_comes_back_from_the_store_alone(settings: Any, tmp_path: Path, film: Film) -> None:
    place, owner = own_store(settings, tmp_path / "media"), an_owner("alice")
    described, plain = upload(owner, film(), "a.mp4"), upload(owner, film(), "b.mp4")
    describe_file(described, META)
    write_changed(place)
    assert [b"metadata" in Sidecar.of(file).encoded() for file in (described, plain)] == [True, False]
    MediaFile.objects.filter(pk=described.pk).update(metadata={"older": 1})  # as in a restored snapshot
    assert rebuild(place).updated == 1
    lose_rows(accounts=True)
    rebuild(place)
    assert dict(MediaFile.objects.values_list("name", "metadata")) == {"a.mp4": META, "b.mp4": None}


@pytest.mark.django_db(transaction=True)
def test_files_and_jobs_from_before_have_none_and_are_found() -> None:
    kept = a_job()
    apps = {"uploads": "0016_on_arrival", "media_jobs": "0012_batches"}
    try:
        for app, name in reversed(apps.items()):
            call_command("migrate", app, name, verbosity=0)
        state: Any = MigrationLoader(connection).project_state(list(apps.items()))
        old = state.apps.get_model("uploads", "MediaFile").objects.get(pk=kept.file_id)
        assert not hasattr(old, "metadata")
    finally:
        call_command("migrate", verbosity=0)
    kept.refresh_from_db()
    assert kept.file is not None
    assert (kept.metadata, kept.file.metadata) == (None, None)
    assert not Upload.objects.exclude(file_metadata=None).exists()
    assert text_index.fill() == 1  # they are found after the upgrade
    assert [text.text for text in SearchText.objects.all()] == [kept.file.name]
