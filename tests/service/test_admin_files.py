"""The admin pages of files over HTTP: their content, permissions and refusals."""

import csv
import io
import re
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.timezone import now
from model_bakery import baker

from media_jobs.models import Job
from uploads.access import signed_links
from uploads.errors import InvalidLink
from uploads.models import MediaFile

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>{{7*7}}\"'.mp4"


def signed_in(group: str) -> Client:
    user = User.objects.create_user(group.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def make_file(name: str = "film.mp4", **blob: Any) -> MediaFile:
    blob = {
        "state": "stored",
        "kind": "video",
        "media_type": "video/mp4",
        "size": 1_234_567_890,
        "sink": "local",
        **blob,
    }
    file: MediaFile = baker.make(
        MediaFile, has_facts="facts" in blob, name=name, owner=User.objects.get_or_create(username="alice")[0],
        blob=baker.make("uploads.Blob", sha256=name.encode().hex().rjust(64, "a")[-64:], **blob),
    )  # fmt: skip
    return file


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode(), newline="")))


def test_a_list_is_exported_as_it_is_filtered_and_by_whoever_may_see_it() -> None:
    make_file("=cmd.mp4")
    make_file("other.mp4")
    viewer = signed_in("Viewer")
    assert {row["Name"] for row in rows_of(viewer.get("/admin/uploads/mediafile/export/"))} == {
        "'=cmd.mp4",
        "other.mp4",
    }
    found = rows_of(viewer.get("/admin/uploads/mediafile/export/?q=other"))
    assert [row["Name"] for row in found] == ["other.mp4"]
    assert (found[0]["Kind"], found[0]["Owner"]) == ("video", "alice")


def test_a_selection_is_exported() -> None:
    chosen, _ = make_file("a.mp4"), make_file("b.mp4")
    asked = {"action": "export_csv", "_selected_action": [str(chosen.pk)]}
    assert [row["Name"] for row in rows_of(signed_in("Viewer").post("/admin/uploads/mediafile/", asked))] == ["a.mp4"]


def test_a_filter_that_means_nothing_is_refused() -> None:
    assert signed_in("Viewer").get("/admin/uploads/mediafile/export/?created_at__gte=soon").status_code == 400


@pytest.mark.parametrize("path", ["uploads/mediafile", "uploads/upload", "media_jobs/job"])
def test_nobody_exports_what_they_may_not_see(path: str) -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(f"/admin/{path}/export/").status_code == 403
    assert signed_in("Viewer").get(f"/admin/{path}/export/").status_code == 200


def test_every_list_offers_its_export_with_its_filters() -> None:
    page = signed_in("Viewer").get("/admin/uploads/mediafile/?q=x").content.decode()
    assert 'href="/admin/uploads/mediafile/export/?q=x"' in page


def page_of(file: MediaFile, name: str = "change") -> str:
    return f"/admin/uploads/mediafile/{file.pk}/{name}/"


def inspected(file: MediaFile) -> Job:
    done: dict[str, Any] = {"status": "succeeded", "progress": 1, "finished_at": now()}
    job: Job = baker.make(Job, file=file, operation="inspect", automatic=True, **done)
    return job


def test_a_files_page_says_everything_of_it_and_a_hostile_name_is_text() -> None:
    file = make_file(HOSTILE, facts={"format": "mov", "duration": 243.2, "title": "<b>{{7*7}}"})
    page = signed_in("Viewer").get(page_of(file)).content.decode()
    for words in ("1.2 GB (1,234,567,890 bytes)", file.blob.sha256, str(file.pk), "4:03", "&lt;b&gt;{{7*7}}"):
        assert words in page
    assert f'src="/api/v1/files/{file.pk}/content"' in page
    assert "<script>alert(1)" not in page
    assert "Run an operation" not in page
    assert "Delete…" not in page


def test_a_file_whose_bytes_are_missing_says_so_and_has_no_player() -> None:
    page = signed_in("Viewer").get(page_of(make_file(state="missing"))).content.decode()
    assert "The content of this file is missing" in page
    assert "mr-player" not in page


def test_the_list_asks_for_the_pictures_of_a_page_at_once(django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        of = make_file(f"{number}.mp4")
        job = inspected(of)
        poster = make_file(f"{number}.jpg", kind="image", size=100)
        baker.make("media_jobs.Artifact", job=job, name="poster.jpg", file=poster)
    viewer = signed_in("Viewer")
    viewer.get("/admin/uploads/mediafile/")
    with django_assert_max_num_queries(7):  # of ten rows
        page = viewer.get("/admin/uploads/mediafile/").content.decode()
    assert page.count(f'src="/api/v1/files/{poster.pk}/content"') == 2  # of the film, and of itself


def test_an_operator_runs_an_operation_by_a_form_and_it_stands_in_the_files_history() -> None:
    file, operator = make_file(), signed_in("Operator")
    choice = operator.get(page_of(file, "run")).content.decode()
    assert 'value="transcode"' in choice
    sent = {"param-height": "720", "param-start": "0:05", "priority": "3"}
    answer = operator.post(page_of(file, "run") + "?operation=transcode", sent)
    job = Job.objects.get()
    assert answer["Location"] == f"/admin/media_jobs/job/{job.pk}/change/"
    assert (job.operation, job.file, job.owner.username, job.priority) == ("transcode", file, "operator", 3)
    assert (job.params["height"], job.params["start"]) == (720, 5.0)
    assert "transcode" in LogEntry.objects.get(object_id=str(file.pk)).change_message


def test_what_is_wrong_with_a_form_stands_in_it_and_nothing_is_run() -> None:
    file, operator = make_file(), signed_in("Operator")
    answer = operator.post(page_of(file, "run") + "?operation=transcode", {"param-height": "5", "priority": "0"})
    assert "height must be between 16 and 4320." in answer.content.decode()
    assert not Job.objects.exists()


def test_an_operation_that_does_not_fit_says_why_and_is_not_offered() -> None:
    file, operator = make_file("tone.mp3", kind="audio"), signed_in("Operator")
    assert 'value="transcode"' not in operator.get(page_of(file, "run")).content.decode()
    page = operator.post(page_of(file, "run") + "?operation=transcode", {"priority": "0"}).content.decode()
    assert "works on video, but tone.mp3 is audio" in page
    assert not Job.objects.exists()


def test_running_again_begins_with_what_was_asked_for_then() -> None:
    file, operator = make_file(), signed_in("Operator")
    earlier = baker.make(Job, file=file, operation="thumbnail", params={"at": "best", "width": 333, "format": "png"})
    page = operator.get(page_of(file, "run") + f"?operation=thumbnail&job={earlier.pk}").content.decode()
    assert 'value="333"' in page
    assert '<option value="png" selected>' in page


def test_a_viewer_may_not_run_or_delete_anything() -> None:
    file, viewer = make_file(), signed_in("Viewer")
    chosen = {"_selected_action": [str(file.pk)]}
    assert viewer.get(page_of(file, "run")).status_code == 403
    assert viewer.post(page_of(file, "run") + "?operation=inspect", {"priority": "0"}).status_code == 403
    assert viewer.post(page_of(file, "delete"), {"confirmed": "yes"}).status_code == 403
    for action in ("run", "delete_selected"):
        said = {**chosen, "action": action, "operation": "inspect", "confirmed": "yes", "priority": "0"}
        assert viewer.post("/admin/uploads/mediafile/", said).status_code == 403
    assert MediaFile.objects.filter(pk=file.pk).exists()
    assert not Job.objects.exists()


def test_an_operation_runs_on_a_selection_and_what_does_not_fit_is_told_by_name() -> None:
    film, tone, operator = make_file(), make_file("tone.mp3", kind="audio"), signed_in("Operator")
    said = {"action": "run", "_selected_action": [str(film.pk), str(tone.pk)]}
    assert 'value="transcode"' in operator.post("/admin/uploads/mediafile/", said).content.decode()
    form = operator.post("/admin/uploads/mediafile/", {**said, "operation": "transcode"}).content.decode()
    assert "tone.mp3 (audio)" in form
    sent = {**said, "operation": "transcode", "confirmed": "yes", "param-height": "240", "priority": "0"}
    answer = operator.post("/admin/uploads/mediafile/", sent, follow=True)
    assert [job.file for job in Job.objects.all()] == [film]
    assert "tone.mp3 (audio)" in answer.content.decode()


def test_a_link_is_made_for_as_long_as_is_asked_and_written_down_and_revoked() -> None:
    file, operator = make_file(HOSTILE), signed_in("Operator")
    assert page_of(file, "link") in operator.get(page_of(file, "change")).content.decode()
    assert '<option value="86400" selected>1 day' in operator.get(page_of(file, "link")).content.decode()
    page = operator.post(page_of(file, "link"), {"duration": str(3600)}).content.decode()
    [token] = set(re.findall(r"http://testserver/api/v1/links/([^/]+)/", page))
    assert signed_links.resolve(token) == file
    assert HOSTILE not in page
    assert operator.post(page_of(file, "link"), {"revoke": "yes"}).status_code == 302
    with pytest.raises(InvalidLink):
        signed_links.resolve(token)
    said = LogEntry.objects.filter(object_id=str(file.pk)).order_by("action_time")
    assert [entry.change_message for entry in said] == [
        f"{deed} In the admin from 127.0.0.1."
        for deed in ("Created a link that is valid for 1 hour.", "Revoked all links.")
    ]


def test_a_link_is_made_for_the_public_address(settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, public_url="https://media.example.org")
    page = signed_in("Operator").post(page_of(make_file(), "link"), {"duration": "3600"}).content.decode()
    assert "https://media.example.org/api/v1/links/" in page


def test_a_link_lasts_no_longer_than_is_offered() -> None:
    file, operator = make_file(), signed_in("Operator")
    for lasting in ("0", "-1", str(10**9), "ever", ""):
        assert "/api/v1/links/" not in operator.post(page_of(file, "link"), {"duration": lasting}).content.decode()
    assert not LogEntry.objects.exists()


def test_a_viewer_may_make_no_link_and_is_offered_none() -> None:
    file, viewer = make_file(), signed_in("Viewer")
    assert page_of(file, "link") not in viewer.get(page_of(file, "change")).content.decode()
    assert viewer.get(page_of(file, "link")).status_code == 403
    for said in ({"duration": "3600"}, {"revoke": "yes"}):
        assert viewer.post(page_of(file, "link"), said).status_code == 403
    file.refresh_from_db()
    assert (file.link_epoch, LogEntry.objects.count()) == (0, 0)


def test_a_deletion_shows_what_else_goes_and_what_is_in_use_stays() -> None:
    free, used, operator = make_file("free.mp4"), make_file("used.mp4"), signed_in("Operator")
    done = inspected(free)
    poster = make_file("free.poster.jpg", kind="image")
    baker.make("media_jobs.Artifact", job=done, name="poster.jpg", file=poster)
    baker.make(Job, file=used, operation="transcode", status="queued")
    said = {"action": "delete_selected", "_selected_action": [str(free.pk), str(used.pk)]}
    preview = operator.post("/admin/uploads/mediafile/", said).content.decode()
    assert "poster.jpg (artifact)" in preview
    assert "This file has 1 unfinished job." in preview
    answer = operator.post("/admin/uploads/mediafile/", {**said, "confirmed": "yes"}, follow=True).content.decode()
    assert list(MediaFile.objects.all()) == [used]
    assert "used.mp4: This file has 1 unfinished job." in answer
    assert "Deleted 1 file" in answer


def test_one_file_is_deleted_after_its_own_preview() -> None:
    file, operator = make_file(), signed_in("Operator")
    assert file.name in operator.get(page_of(file, "delete")).content.decode()
    assert operator.post(page_of(file, "delete")).status_code == 302
    assert not MediaFile.objects.exists()
