"""Batches: one operation on many files. Rows only: nothing is run."""

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.test import APIClient

from media_jobs import housekeeping
from media_jobs.models import Batch, BatchItem, Job
from media_jobs.queue import batch_chores, batches, presets
from media_jobs.queue.submission import Order
from tests.support.api_client import api_client
from tests.support.job_rows import a_file, a_job, a_user, a_worker, claimed, end, now, past
from uploads.models import MediaFile, Transition
from uploads.storage.files import delete_file

pytestmark = pytest.mark.django_db
URL = "/api/v1/jobs/batch/"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_chores, "CHUNK", 2)
    monkeypatch.setattr(batch_chores, "_SECONDS_AT_A_TIME", 60)


def post(client: APIClient, path: str = URL, said: dict[str, Any] | None = None, **headers: str) -> Any:
    return client.post(path, said or {}, format="json", headers=headers)


def begin(owner: User, files: list[MediaFile], **said: Any) -> Any:
    ids = [str(file.pk) for file in files]
    answer = post(api_client(owner), said={"operation": "thumbnail", "files": ids, **said})
    assert answer.status_code == 202, answer.json()
    return answer.json()


def look(owner: User, batch: Any) -> Any:
    return api_client(owner).get(f"{URL}{batch['id']}/").json()


def test_a_batch_is_written_down_by_the_request_and_submitted_by_housekeeping() -> None:
    alice = a_user()
    files = [a_file(alice) for _ in range(5)]
    made = begin(alice, files, params={"width": 64}, priority=-1)
    assert (made["counts"]["total"], made["counts"]["waiting"], made["is_finished"]) == (5, 5, False)
    assert not Job.objects.exists()
    assert batch_chores.carry_on() == 5
    jobs = list(Job.objects.order_by("pk"))
    assert {job.file_id for job in jobs} == {file.pk for file in files}
    assert {(job.params["width"], job.priority, job.owner, str(job.batch_id)) for job in jobs} == {
        (64, -1, alice, made["id"])
    }
    assert [past(job) for job in jobs] == [["queued"]] * 5
    assert claimed(a_worker()).job in jobs
    found = look(alice, made)
    assert (found["counts"]["jobs"]["queued"], found["counts"]["jobs"]["running"]) == (4, 1)
    assert (found["counts"]["waiting"], found["progress"]) == (0, 0)
    assert batch_chores.carry_on() == 0
    assert not Batch.objects.filter(is_pending=True).exists()
    of_batch = api_client(alice).get(found["urls"]["jobs"].removeprefix("http://testserver")).json()["results"]
    assert {job["batch"] for job in of_batch} == {made["id"]}


def test_progress_weighs_jobs_by_the_size_of_their_files() -> None:
    alice = a_user()
    files = [a_file(alice), a_file(alice)]
    MediaFile.objects.filter(pk=files[0].pk).update(size=93)  # the other has 7
    made = begin(alice, files)
    batch_chores.carry_on()
    end(claimed(a_worker()), "a.jpg")
    done = Job.objects.get(status="succeeded")
    assert look(alice, made)["progress"] == (0.93 if done.file_id == files[0].pk else 0.07)
    end(claimed(a_worker()), "b.jpg")
    found = look(alice, made)
    assert (found["progress"], found["is_finished"], found["counts"]["jobs"]["succeeded"]) == (1, True, 2)


def test_files_that_do_not_fit_are_counted_with_the_reason() -> None:
    alice = a_user()
    picture = {"index": 0, "codec": "h264", "width": 16, "height": 16, "coded_width": 16, "coded_height": 16}
    files = [a_file(alice), *[a_file(alice, kind="audio") for _ in range(3)], a_file(alice)]
    files[4].blob.facts = {"format": "mov", "duration": 2.0, "video": [picture]}
    files[4].blob.save()
    MediaFile.objects.filter(pk=files[4].pk).update(has_facts=True)
    made = begin(alice, files, params={"at": 9.0})
    batch_chores.carry_on()
    found = look(alice, made)
    assert (found["counts"]["skipped"], found["counts"]["jobs"]["queued"]) == (4, 1)
    assert found["skipped_because"][0] == {"reason": "“thumbnail” does not work on audio files.", "count": 3}
    assert "lasts only 2.0 s" in found["skipped_because"][1]["reason"]


def test_filters_are_those_of_the_list_of_files() -> None:
    alice = a_user()
    films, _tone, _theirs = [a_file(alice), a_file(alice)], a_file(alice, kind="audio"), a_file()
    client = api_client(alice)
    for wanted, total in (({"kind": "video"}, 2), ({"kind": ["video", "audio"]}, 3), ({}, 3), ({"q": "a.m"}, 3)):
        answer = post(client, said={"operation": "thumbnail", "filter": wanted})
        assert (answer.status_code, answer.json()["counts"]["total"]) == (202, total)
    batch = Batch.objects.get(total=2)
    assert [item.file for item in batch.items.order_by("number")] == films  # the oldest first


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"filter": {}, "files": [str(uuid.uuid4())]}, 400, "invalid_params"),
        ({}, 400, "invalid_params"),
        ({"files": []}, 400, "invalid_params"),
        ({"files": [str(uuid.uuid4())]}, 404, "not_found"),
        ({"files": ["x"]}, 400, "invalid_params"),
        ({"filter": {"kind": "explosive"}}, 400, "invalid_params"),
        ({"filter": {"kinds": "video"}}, 400, "invalid_params"),
        ({"filter": {"q": "\0"}}, 400, "invalid_params"),
        ({"filter": {"sha256": "0" * 64}}, 400, "invalid_params"),  # no file matches
        ({"filter": [7]}, 400, "invalid_params"),
        ({"filter": {}, "operation": "explode"}, 400, "invalid_params"),
        ({"filter": {}, "params": {"width": -1}}, 400, "invalid_params"),
        ({"filter": {}, "preset": "x"}, 400, "invalid_params"),
        ({"filter": {}, "inputs": [str(uuid.uuid4())]}, 400, "invalid_params"),
        ({"filter": {}, "priority": 5}, 400, "invalid_params"),
        ({"filter": {}, "extra": 1}, 400, "invalid_params"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_is_refused_and_leaves_nothing(said: dict[str, Any], status: int, code: str) -> None:
    file = a_file()
    answer = post(api_client(file.owner), said={"operation": "thumbnail", **said})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Batch.objects.exists()


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST", 2)
    alice = a_user()
    for _ in range(3):
        a_file(alice)
    answer = post(api_client(alice), said={"operation": "thumbnail", "filter": {}})
    assert (answer.status_code, "More than 2 files match" in answer.json()["detail"]) == (400, True)
    assert not BatchItem.objects.exists()


def test_a_batch_takes_a_preset() -> None:
    file = a_file()
    presets.save(file.owner, "Small", "thumbnail", {"width": 64})
    answer = post(api_client(file.owner), said={"preset": "Small", "filter": {}})
    assert (answer.json()["preset"], answer.json()["operation"]) == ("Small", "thumbnail")
    batch_chores.carry_on()
    assert Job.objects.get().preset == "Small"


def test_a_repeated_request_gets_the_same_batch() -> None:
    file = a_file()
    client, said = api_client(file.owner), {"operation": "thumbnail", "files": [str(file.pk)]}
    first, again = (post(client, said=said, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert (first.has_header("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (False, "true")
    other = post(client, said={**said, "params": {"width": 65}}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert Batch.objects.count() == 1


# In chunks, through a crash


def test_a_crash_between_and_in_chunks_loses_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = a_user()
    files = [a_file(alice) for _ in range(5)]
    made = begin(alice, files)
    batch = Batch.objects.get()
    batch_chores.submit_some(batch)
    with monkeypatch.context() as patch:
        patch.setattr(Transition, "record_many", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            batch_chores.submit_some(batch)
    assert look(alice, made)["counts"]["waiting"] == 3
    batch_chores.carry_on()
    assert sorted(Job.objects.values_list("file_id", flat=True)) == sorted(file.pk for file in files)
    assert not BatchItem.objects.exists()


def test_equal_bytes_and_work_that_was_done_before_are_not_done_again() -> None:
    alice = a_user()
    twin, other = a_file(alice), a_file(alice)
    copy = MediaFile.objects.create(owner=alice, name="copy.mp4", blob=twin.blob)
    before = a_job(other)
    worker = a_worker()
    end(claimed(worker), "done.jpg")
    made = begin(alice, [twin, copy, other])
    batch_chores.carry_on()
    counts = look(alice, made)["counts"]["jobs"]
    assert (counts["queued"], counts["succeeded"]) == (2, 1)
    assert Job.objects.get(batch=made["id"], file=other).cached
    assert Job.objects.filter(leader__isnull=False, batch=made["id"]).count() == 1
    end(claimed(worker), "one.jpg")
    assert look(alice, made)["counts"]["jobs"]["succeeded"] == 3
    assert now(before).batch is None


def test_a_file_that_is_deleted_is_left_out_and_told() -> None:
    alice = a_user()
    files = [a_file(alice) for _ in range(3)]
    made = begin(alice, files)
    assert delete_file(files[1])
    batch_chores.carry_on()
    found = look(alice, made)
    assert (found["counts"]["deleted"], found["counts"]["jobs"]["queued"]) == (1, 2)


def test_a_file_that_the_parameters_name_may_be_deleted_and_no_other_batch_waits_for_that() -> None:
    alice = a_user()
    named, *files = (a_file(alice) for _ in range(4))
    clips = [{"file": 0, "start": 0, "end": 1}, {"file": str(named.pk), "start": 0, "end": 1}]
    made = begin(alice, files, operation="render", params={"clips": clips})
    after = begin(alice, files)
    delete_file(named)
    batch_chores.carry_on()
    found = look(alice, made)
    assert (found["counts"]["skipped"], found["counts"]["waiting"], found["is_finished"]) == (3, 0, True)
    assert str(named.pk) in found["skipped_because"][0]["reason"]
    assert look(alice, after)["counts"]["jobs"]["queued"] == 3


def test_an_account_that_may_not_submit_any_more_gets_no_jobs() -> None:
    file = a_file()
    made = begin(file.owner, [file])
    User.objects.filter(pk=file.owner.pk).update(is_active=False)
    batch_chores.carry_on()
    assert not Job.objects.exists()
    assert look(file.owner, made)["skipped_because"][0]["count"] == 1


# Cancel and retry


def test_cancel_stops_what_runs_what_waits_and_what_is_to_be_submitted() -> None:
    alice = a_user()
    files = [a_file(alice) for _ in range(6)]
    made, client = begin(alice, files), api_client(alice)
    batch_chores.submit_some(Batch.objects.get())
    batch_chores.submit_some(Batch.objects.get())
    running = claimed(a_worker()).job
    leading = Job.objects.filter(status="queued").earliest("queued_at")
    follower = a_job(leading.file, params=leading.params)
    assert follower.leader == leading
    answer = post(client, f"{URL}{made['id']}/cancel/")
    assert answer.json()["counts"]["skipped"] == 2
    assert now(running).cancel_asked
    batch_chores.carry_on()
    counts = look(alice, made)["counts"]["jobs"]
    assert (counts["cancelled"], counts["queued"], counts["running"]) == (3, 0, 1)
    assert (now(follower).status, now(follower).leader) == ("queued", None)  # somebody else's: it leads now
    assert past(leading) == ["queued", "cancelled"]
    Job.objects.filter(pk=running.pk).update(
        status="cancelled", finished_at="2026-11-29T00:00Z", token=None, lease_until=None
    )
    assert look(alice, made)["is_finished"]
    again = post(client, f"{URL}{made['id']}/cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")


def test_cancel_stops_also_what_a_worker_claims_before_housekeeping_comes() -> None:
    alice = a_user()
    made = begin(alice, [a_file(alice) for _ in range(3)])
    batch_chores.carry_on()
    post(api_client(alice), f"{URL}{made['id']}/cancel/")
    running = claimed(a_worker()).job
    assert not now(running).cancel_asked
    batch_chores.carry_on()
    assert now(running).cancel_asked
    counts = look(alice, made)["counts"]["jobs"]
    assert (counts["cancelled"], counts["running"]) == (2, 1)


def test_retry_runs_the_failed_jobs_again_and_the_cancelled_ones_not() -> None:
    alice = a_user()
    files = [a_file(alice) for _ in range(4)]
    made, client = begin(alice, files), api_client(alice)
    batch_chores.carry_on()
    ended = {"finished_at": "2026-11-29T00:00Z"}
    first, second, third, _ = Job.objects.order_by("pk")
    Job.objects.filter(pk__in=[first.pk, second.pk]).update(status="failed", error_code="stalled", **ended)
    Job.objects.filter(pk=third.pk).update(status="cancelled", **ended)
    assert post(client, f"{URL}{made['id']}/retry/").status_code == 200
    batch_chores.carry_on()
    batch_chores.carry_on()
    counts = look(alice, made)["counts"]["jobs"]
    assert (counts["queued"], counts["cancelled"], counts["failed"]) == (3, 1, 0)
    answer = post(client, f"{URL}{made['id']}/retry/")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_finished")
    assert not Batch.objects.filter(is_pending=True).exists()


def test_a_batch_is_for_its_owner_and_for_staff() -> None:
    file = a_file()
    made = begin(file.owner, [file])
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    for user, seen, done in ((a_user(), 404, 404), (viewer, 200, 403)):
        client = api_client(user)
        assert client.get(f"{URL}{made['id']}/").status_code == seen
        assert len(client.get(URL).json()["results"]) == (seen == 200)
        for verb in ("cancel", "retry"):
            assert post(client, f"{URL}{made['id']}/{verb}/").status_code == done
    assert post(api_client(viewer), said={"operation": "thumbnail", "filter": {}}).status_code == 403


def test_old_batches_go_when_their_jobs_are_gone() -> None:
    file = a_file()
    begin(file.owner, [file])
    batch_chores.carry_on()
    batch_chores.carry_on()
    Batch.objects.update(created_at="2020-01-01T00:00Z")
    assert housekeeping.forget_batches() == 0
    Job.objects.all().delete()
    assert housekeeping.forget_batches() == 1


# In the admin


@pytest.fixture
def operator() -> Client:
    user = User.objects.create_user("operator", is_staff=True)
    user.groups.add(Group.objects.get(name="Operator"))
    client = Client()
    client.force_login(user)
    return client


def test_all_files_of_a_filtered_list_become_a_batch(operator: Client) -> None:
    films = [a_file(), a_file()]
    a_file(kind="audio")
    files = "/admin/uploads/mediafile/"
    assert "all/run/?kind__exact=video" in operator.get(f"{files}?kind__exact=video").content.decode()
    page = f"{files}all/run/?kind__exact=video"
    assert "all 2 files of the list" in operator.get(page).content.decode()
    form = operator.post(page, {"operation": "thumbnail"}).content.decode()
    assert "Run on 2 files" in form
    sent = {"operation": "thumbnail", "confirmed": "yes", "param-width": "64", "priority": "0"}
    assert "width must be" in operator.post(page, sent | {"param-width": "1"}).content.decode()
    answer = operator.post(page, sent)
    batch = Batch.objects.get()
    assert answer["Location"] == f"/admin/media_jobs/batch/{batch.pk}/change/"
    assert {job.file for job in Job.objects.all()} == set(films)  # the first ones are submitted at once
    assert operator.post(f"{files}all/run/?nonsense=1", sent).status_code == 400
    operator.logout()
    assert operator.get(page).status_code == 302


def test_a_selection_becomes_a_batch_with_a_page_that_shows_cancels_and_retries(operator: Client) -> None:
    chosen = {"action": "run", "_selected_action": [str(a_file().pk), str(a_file().pk)]}
    sent = {"operation": "thumbnail", "confirmed": "yes", "param-width": "64", "priority": "0"}
    page = operator.post("/admin/uploads/mediafile/", chosen | sent)["Location"]
    batch, shown = Batch.objects.get(), operator.get(page).content.decode()
    assert "0 of 2 jobs ended" in shown
    assert f"?batch={batch.pk}&amp;status__exact=queued" in shown
    jobs = operator.get(f"/admin/media_jobs/job/?batch={batch.pk}&status__exact=queued").content.decode()
    assert jobs.count('data-live="state"') == 2
    assert operator.get("/admin/media_jobs/job/?batch=nonsense").status_code == 200
    live = json.loads(operator.get(f"/admin/media_jobs/batch/{batch.pk}/live/").content)["rows"][str(batch.pk)]
    assert (live["active"], live["queued"]) == (True, 2)
    assert "0 of 2 jobs ended" in operator.get("/admin/media_jobs/batch/").content.decode()
    operator.post(f"/admin/media_jobs/batch/{batch.pk}/cancel/")
    batch_chores.carry_on()
    assert "2 of 2 jobs ended" in operator.get(page).content.decode()
    assert "No job of this batch has failed" in operator.post(
        f"/admin/media_jobs/batch/{batch.pk}/retry/", follow=True
    ).content.decode()  # fmt: skip


@pytest.mark.parametrize("sent", ["as shown", "by numbers"])
def test_a_selection_to_render_becomes_one_job_with_the_files_as_clips_in_the_order_of_the_list(
    operator: Client, sent: str
) -> None:
    names = {"b.mp4": "video", "a.mp4": "video", "c.png": "image", "d.mp3": "audio"}
    files = {name: a_file(kind=kind) for name, kind in names.items()}
    for name, file in files.items():
        MediaFile.objects.filter(pk=file.pk).update(name=name)
    by_name = "/admin/uploads/mediafile/?o=2"
    chosen = {"action": "run", "operation": "render", "_selected_action": [str(file.pk) for file in files.values()]}
    shown = operator.post(by_name, chosen)
    form = shown.content.decode()
    assert "One job makes one video" in form
    assert "Not among them: d.mp3 (audio)" in form
    clips = shown.context["forms"][0]["clips"].value()
    assert [clip["file"] for clip in json.loads(clips)] == [
        str(files[f"{name}"].pk) for name in ("a.mp4", "b.mp4", "c.png")
    ]
    if sent == "by numbers":
        clips = '[{"file": 0}, {"file": 1}, {"file": 2, "duration": 3}]'
    answer = operator.post(by_name, chosen | {"confirmed": "yes", "param-clips": clips, "priority": "0"})
    job = Job.objects.get()
    assert answer["Location"] == f"/admin/media_jobs/job/{job.pk}/change/"
    assert (job.file, [item.file for item in job.inputs.order_by("number")]) == (
        files["a.mp4"],
        [files["b.mp4"], files["c.png"]],
    )
    assert [clip["file"] for clip in job.params["clips"]] == [0, 1, 2]
    assert not Batch.objects.exists()


def test_an_operation_that_is_gone_skips_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_file()
    batch, _ = batches.create(Order.parse(file.owner, "thumbnail"), MediaFile.objects.filter(pk=file.pk))
    Batch.objects.update(operation="engrave")
    batch_chores.carry_on()
    assert "has no operation “engrave” any more" in batches.counts_of(batch).reasons[0].reason


def test_lists_offer_an_operation_that_is_gone_while_it_has_rows(operator: Client) -> None:
    a_job(a_file())
    job = a_job(a_file())
    Job.objects.filter(pk=job.pk).update(operation="engrave")
    page = operator.get("/admin/media_jobs/job/").content.decode()
    assert "engrave (not installed)" in page
    assert "thumbnail (not installed)" not in page
    shown = operator.get("/admin/media_jobs/job/?operation=engrave").content.decode()
    assert shown.count('data-live="state"') == 1
    for path in ("/admin/media_jobs/batch/", "/admin/media_jobs/preset/"):
        assert "(not installed)" not in operator.get(path).content.decode()
    Batch.objects.create(owner=job.owner, operation="engrave")
    assert "engrave (not installed)" in operator.get("/admin/media_jobs/batch/").content.decode()
