"""Model servers on the real database: who may use one when, what opens the breaker, and whose answers are whose."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from model_bakery import baker

from media_jobs.errors import EndpointBusy, EndpointDown, EndpointUnavailable, EndpointUntrusted
from media_jobs.ffmpeg.probing.media_facts import AudioStream, Facts
from media_jobs.models import OPENS_AFTER, Arrival, BatchItem, Job, ModelEndpoint, Worker
from media_jobs.operations import get
from media_jobs.queue import (
    arrivals,
    batch_chores,
    cancel_and_retry,
    endpoint_breaker,
    leases,
    model_endpoints,
    outcomes,
    presets,
)
from media_jobs.queue.leases import Lease
from media_jobs.queue.status_text import Lanes, waiting_for
from media_jobs.queue.submission import Order
from tests.support.api_client import api_client
from tests.support.job_rows import a_file, a_job, a_user, a_worker, end, expire, now, past, reap, started
from tests.support.model_endpoint_rows import an_endpoint
from uploads.access.sealed_text import Unreadable, seal, unseal
from uploads.errors import InvalidParams
from uploads.models import Blob, MediaFile, Transition, Upload
from uploads.storage.marker import adopt
from uploads.storage.stores import sink

pytestmark = pytest.mark.django_db
DOWN = EndpointDown("birds", "does not accept connections")
SECRET = "Bearer tiger-lily"


@pytest.fixture
def worker() -> Worker:
    adopt(sink())
    return a_worker("bulk")


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def predict(file: MediaFile | None = None, endpoint: str = "birds", **more: Any) -> Job:
    return a_job(file, operation="predict", params={"endpoint": endpoint}, **more)


def begun(worker: Worker, job: Job) -> Lease:
    lease = started(worker, job)
    endpoint_breaker.take_place(lease.job)
    return lease


def why(job: Job) -> str | None:
    job = now(job)
    return waiting_for(job, Lanes.now([job]))


def fail(lease: Lease, failure: EndpointDown = DOWN, retries: int = 4) -> None:
    """What the worker does when the server does not answer."""
    assert lease.job.endpoint_id is not None
    failure.attempts = retries + 1
    busy = endpoint_breaker.note_failure(lease.job.endpoint_id, failure)
    if busy is None:
        outcomes.end_failed(lease, failure, {})
    else:
        outcomes.end_without_server(lease, busy)


def next_try_is_due() -> None:
    ModelEndpoint.objects.update(next_try=Now() - timedelta(seconds=1))
    Job.objects.update(not_before=None)


# Choosing one


def test_the_schema_lists_the_servers_that_can_be_chosen() -> None:
    an_endpoint("birds"), an_endpoint("asleep", active=False), an_endpoint("plates", title="", sends="frames", rate=2)
    found = model_endpoints.schema(get("predict"))["properties"]["endpoint"]
    assert found["enum"] == ["birds", "plates"]
    assert found["description"].endswith("birds: Bird calls; plates: JPEG pictures, 2 a second.")
    assert "enum" not in get("predict").parameters.model_json_schema()["properties"]["endpoint"]


def test_a_server_that_is_unknown_or_off_is_refused_with_what_can_be_chosen() -> None:
    an_endpoint("birds"), an_endpoint("asleep", active=False)
    for name in ("nothing", "asleep", "BIRDS", "birds\0"):
        with pytest.raises(EndpointUnavailable, match="Choose one of: birds") as caught:
            predict(endpoint=name)
        assert caught.value.code == "endpoint_unavailable"
    assert not Job.objects.filter(operation="predict").exists()


def test_a_file_without_what_the_server_is_sent_is_refused_at_once() -> None:
    an_endpoint(sends="wav")
    file = a_file()
    MediaFile.objects.filter(pk=file.pk).update(has_facts=True)
    Blob.objects.filter(pk=file.blob.pk).update(facts=Facts(format="mov", duration=5.0).model_dump(mode="json"))
    with pytest.raises(InvalidParams, match="has no sound to send"):
        predict(MediaFile.objects.get(pk=file.pk))


# Places


def test_a_server_has_so_many_places_for_all_workers_together(worker: Worker) -> None:
    an_endpoint(concurrency=2)
    jobs = [predict() for _ in range(3)]
    leases_ = [leases.claim(each) for each in (worker, a_worker("bulk"), a_worker("bulk"))]
    taken = [lease.job for lease in leases_ if lease is not None]
    [left] = [job for job in jobs if job not in taken]
    assert why(left) == "The model server “birds”, which takes 2 jobs at a time."
    assert leases_[0] is not None
    end(leases_[0], "prediction.json")
    assert started(worker, left)


def test_others_pass_jobs_that_wait_for_a_server(worker: Worker) -> None:
    an_endpoint(concurrency=1), an_endpoint("plates")
    first, second = predict(), predict()
    other, plates = a_job(operation="waveform"), predict(endpoint="plates")
    begun(worker, first)
    assert {leases.claim(worker).job for _ in range(2)} == {other, plates}  # type: ignore[union-attr]
    assert leases.claim(worker) is None
    assert past(second) == ["queued"]


def test_of_two_workers_that_claim_at_the_same_time_one_gives_its_job_back(worker: Worker) -> None:
    an_endpoint(concurrency=2)
    first, second = predict(), predict()
    one, other = started(worker, first), started(a_worker("bulk"), second)
    ModelEndpoint.objects.update(concurrency=1)  # as if both had seen the same free place
    endpoint_breaker.take_place(one.job)
    with pytest.raises(EndpointBusy) as caught:
        endpoint_breaker.take_place(other.job)
    outcomes.end_without_server(other, caught.value)
    assert (now(second).status, now(second).attempts, now(second).at_endpoint) == ("queued", 0, False)
    endpoint_breaker.take_place(one.job)  # it has its place already


def test_a_lost_worker_gives_its_place_back(worker: Worker) -> None:
    an_endpoint(concurrency=1)
    job, other = predict(), predict()
    begun(worker, job)
    assert leases.claim(worker) is None
    expire(job)
    assert reap() == 1
    assert begun(worker, other)


def test_jobs_of_a_server_that_is_switched_off_wait_and_those_of_a_removed_one_are_claimed(worker: Worker) -> None:
    endpoint, job = an_endpoint(), predict()
    ModelEndpoint.objects.update(active=False)
    assert leases.claim(worker) is None
    assert why(job) == "The model server “birds”, which an administrator has switched off."
    endpoint.delete()
    assert started(worker, job).job.endpoint_id is None  # it fails, and says why


# The breaker


def test_after_failures_in_a_row_jobs_wait_and_one_at_a_time_tries(worker: Worker) -> None:
    an_endpoint(concurrency=5)
    job = predict()
    for number in range(1, OPENS_AFTER):
        fail(begun(worker, job))
        assert (now(job).status, now(job).attempts) == ("queued", number)
        assert leases.claim(worker) is None  # it pauses, longer each time
        Job.objects.update(not_before=None)
    fail(begun(worker, job))
    assert (now(job).status, now(job).attempts) == ("queued", OPENS_AFTER - 1)  # to wait is no attempt
    others = [predict() for _ in range(2)]
    assert leases.claim(worker) is None
    told = why(others[0])
    assert told is not None
    assert re.fullmatch(r"The model server “birds”, which does not accept connections; next try in \d+ s\.", told), (
        told
    )
    assert [warning.code for warning in model_endpoints.warnings()] == ["endpoint_down:birds"]
    next_try_is_due()
    probe = leases.claim(worker)
    assert probe is not None
    endpoint_breaker.take_place(probe.job)
    assert leases.claim(worker) is None
    [waiting] = [each for each in others if each != probe.job][:1]
    assert why(waiting) == "The model server “birds”, which does not accept connections. Another job tries it now."
    assert probe.job.endpoint_id is not None
    endpoint_breaker.note_success(probe.job.endpoint_id)
    end(probe, "prediction.json")
    assert all(leases.claim(worker) is not None for _ in range(2))
    assert not list(model_endpoints.warnings())


def test_each_pause_of_the_breaker_is_longer_up_to_a_limit(worker: Worker) -> None:
    endpoint = an_endpoint(failures=OPENS_AFTER - 1)
    pauses = []
    for _ in range(9):
        busy = endpoint_breaker.note_failure(endpoint.pk, DOWN)
        assert busy is not None
        pauses.append(busy.pause.total_seconds())
    assert pauses[:3] == [20, 35, 65]
    assert pauses[-1] == 605


def test_a_job_that_makes_the_server_fail_fails_itself_in_the_end(worker: Worker) -> None:
    """Or it would be the probe again and again, and stop all others."""
    an_endpoint()
    job, poison = predict(), EndpointDown("birds", "answers with the error 500", has_answered=True)
    for _ in range(4):
        fail(begun(worker, job), poison, retries=3)
        next_try_is_due()
    assert (now(job).status, now(job).error_code, now(job).attempts) == ("failed", "endpoint_down", 4)


def test_retries_are_those_of_the_server_and_its_wish_to_be_left_alone_counts(worker: Worker) -> None:
    an_endpoint()
    job = predict()
    fail(begun(worker, job), retries=0)
    assert (now(job).status, now(job).error_code) == ("failed", "endpoint_down")
    busy = EndpointDown("birds", "has too many requests", wait=timedelta(seconds=100), has_answered=True)
    second = predict()
    fail(begun(worker, second), busy)
    assert leases.claim(worker) is None
    assert (why(second) or "").startswith("The model server “birds”, which has too many requests; next try in 1 min")


def test_a_job_that_waits_for_a_server_can_be_cancelled(worker: Worker) -> None:
    an_endpoint(failures=OPENS_AFTER)
    job = predict()
    lease = begun(worker, job)
    cancel_and_retry.cancel(job)
    fail(lease)
    assert now(job).status == "cancelled"


# Answers


def a_copy_of(file: MediaFile) -> MediaFile:
    copy: MediaFile = baker.make(MediaFile, owner=a_user(), blob=file.blob, name="b.mp4", origin="upload")
    return copy


def answered(worker: Worker, file: MediaFile) -> Job:
    job = predict(file)
    end(begun(worker, job), "prediction.json")
    return now(job)


def test_the_second_equal_request_is_answered_without_the_server_until_the_version_rises(worker: Worker) -> None:
    an_endpoint()
    file = a_file()
    answered(worker, file)
    assert predict(file).cached
    assert not predict(a_copy_of(file)).cached  # somebody else's
    ModelEndpoint.objects.update(version=2)
    assert not predict(file).cached


def test_where_answers_are_shared_another_owner_has_it_as_a_file_of_its_own(worker: Worker) -> None:
    an_endpoint(shares_answers=True)
    file = a_file()
    first = answered(worker, file)
    copy = a_copy_of(file)
    second = predict(copy)
    assert (second.status, second.cached) == ("succeeded", True)
    assert second.artifacts.get().file.owner == copy.owner
    assert second.artifacts.get().file.name == "b.prediction.json"
    assert told_to(copy.owner, second, first) == 0


def test_of_two_equal_requests_at_the_same_time_one_reaches_the_server(worker: Worker) -> None:
    an_endpoint(shares_answers=True)
    file = a_file()
    first, copy = predict(file), a_copy_of(file)
    second = predict(copy)
    assert why(second) == "The answer to an equal request."
    end(begun(worker, first), "prediction.json")
    assert (now(second).status, now(second).cached) == ("succeeded", True)
    assert told_to(copy.owner, second, first) == 0


def test_if_the_first_of_two_owners_cancels_the_other_goes_on(worker: Worker) -> None:
    an_endpoint(shares_answers=True)
    first = predict()
    assert first.file is not None
    second = predict(a_copy_of(first.file))
    cancel_and_retry.cancel(first)
    assert begun(worker, now(second))
    assert told_to(second.owner, second, first) == 0


def told_to(owner: User, job: Job, other: Job) -> int:
    """How often anything that this owner can read names the job of another one, its file, or its owner."""
    client = Client()
    client.force_login(owner)
    pages = [client.get(f"/api/v1/jobs/{job.pk}/{part}").content.decode() for part in ("", "events/")]
    pages += Transition.objects.filter(subject_id=job.pk).values_list("detail", flat=True)
    names = (str(other.pk), str(other.file_id), other.owner.username)
    return sum(page.count(name) for page in pages for name in names)


def test_a_preset_with_a_server_that_is_gone_is_refused(worker: Worker) -> None:
    endpoint, owner = an_endpoint(), a_user()
    preset = presets.save(owner, "Birds", "predict", {"endpoint": "birds"})
    endpoint.delete()
    with pytest.raises(EndpointUnavailable):
        Order.of_preset(owner, preset)


def test_a_preset_with_a_server_that_is_switched_off_says_so_wherever_it_is_chosen(admin: Client) -> None:
    an_endpoint(), an_endpoint("plates")
    preset = presets.save(None, "Birds", "predict", {"endpoint": "birds"})
    pages = [reverse("admin:media_jobs_preset_change", args=[preset.pk]), "/admin/media_jobs/preset/arrivals/"]
    pages.append("/api/v1/presets/")
    shown = "/admin/media_jobs/preset/"
    trouble = "There is no model server “birds”, or it is switched off. Choose one of: plates."
    assert not any(trouble in admin.get(page).content.decode() for page in pages)
    assert "cannot be used" not in admin.get(shown).content.decode()
    ModelEndpoint.objects.filter(name="birds").update(active=False)
    assert all(trouble in admin.get(page).content.decode() for page in pages)
    assert "cannot be used" in admin.get(shown).content.decode()


def test_a_preset_sends_each_new_file_and_leaves_a_note_where_it_cannot(worker: Worker) -> None:
    an_endpoint(sends="wav")
    preset = presets.save(None, "Birds", "predict", {"endpoint": "birds"}, on_arrival=True)
    heard, silent, late = (a_file() for _ in range(3))
    sound = AudioStream(index=0, codec="aac", channels=1, sample_rate=48000)
    for file, audio in ((heard, [sound]), (silent, []), (late, [sound])):
        MediaFile.objects.filter(pk=file.pk).update(has_facts=True)
        Blob.objects.filter(pk=file.blob.pk).update(facts=Facts(format="mov", audio=audio).model_dump(mode="json"))
    for file in (heard, silent):
        arrivals.remember(baker.prepare(Upload, owner=file.owner, on_arrival=None), file)
    arrivals.carry_out_due()
    [job] = Job.objects.filter(operation="predict")
    assert (job.file_id, job.endpoint and job.endpoint.name, job.on_arrival) == (heard.pk, "birds", True)
    assert Arrival.objects.get(file=silent).notes == [{"preset": "Birds", "note": "This file has no sound to send."}]
    ModelEndpoint.objects.update(active=False)
    arrivals.remember(baker.prepare(Upload, owner=late.owner, on_arrival=[str(preset.pk)]), late)
    arrivals.carry_out_due()
    [note] = Arrival.objects.get(file=late).notes
    assert note["note"].startswith("There is no model server “birds”, or it is switched off.")


def test_a_batch_sends_what_fits_and_skips_the_rest(worker: Worker) -> None:
    an_endpoint(sends="wav")
    owner = a_user()
    heard, silent = a_file(owner), a_file(owner)
    MediaFile.objects.filter(pk=silent.pk).update(has_facts=True)
    Blob.objects.filter(pk=silent.blob.pk).update(facts=Facts(format="mov").model_dump(mode="json"))
    answer = api_client(owner).post(
        "/api/v1/jobs/batch/",
        {"operation": "predict", "params": {"endpoint": "birds"}, "files": [str(heard.pk), str(silent.pk)]},
        format="json",
    )
    assert answer.status_code == 202, answer.json()
    batch_chores.carry_on()
    [job] = Job.objects.filter(batch=answer.json()["id"])
    assert (job.file_id, job.endpoint and job.endpoint.name) == (heard.pk, "birds")
    assert [item.note for item in BatchItem.objects.all()] == ["This file has no sound to send."]


# The admin


def fields(**changed: str) -> dict[str, str]:
    usual = {
        "name": "birds", "title": "Bird calls", "active": "on", "url": "https://birds.example/predict",
        "header": "Authorization", "new_secret": SECRET, "sends": "file", "rate": "16000", "version": "1",
        "timeout": "600", "concurrency": "2", "retries": "4",
    }  # fmt: skip
    return {name: value for name, value in (usual | changed).items() if value}


ADD = "/admin/media_jobs/modelendpoint/add/"


def added(admin: Client, **changed: str) -> ModelEndpoint:
    answer = admin.post(ADD, fields(**changed))
    assert answer.status_code == 302, errors_of(answer)
    return ModelEndpoint.objects.get()


def errors_of(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors) if answer.context else {}


def edit(admin: Client, endpoint: ModelEndpoint, **changed: str) -> Any:
    answer = admin.post(page_of(endpoint), fields(**({"new_secret": ""} | changed)))
    endpoint.refresh_from_db()
    return answer


def page_of(endpoint: ModelEndpoint) -> str:
    return reverse("admin:media_jobs_modelendpoint_change", args=[endpoint.pk])


def test_the_secret_is_stored_encrypted_and_shown_nowhere(admin: Client) -> None:
    endpoint = added(admin)
    assert SECRET not in endpoint.secret
    server = model_endpoints.server_of(endpoint)
    assert server.header == ("Authorization", SECRET)
    assert SECRET not in repr(server)
    shown = [admin.get(page).content.decode() for page in (page_of(endpoint), "/admin/media_jobs/modelendpoint/")]
    wrong = admin.post(page_of(endpoint), fields(url="nonsense", new_secret="another secret"))
    shown += [wrong.content.decode(), admin.get("/admin/admin/logentry/").content.decode()]
    edit(admin, endpoint, new_secret="Bearer third")
    shown += [str(row) for row in LogEntry.objects.values_list("object_repr", "change_message")]
    for secret in (SECRET, "another secret", "Bearer third", endpoint.secret):
        assert all(secret not in page for page in shown)
    assert LogEntry.objects.filter(object_id=endpoint.pk).count() == 2
    assert unseal(endpoint.secret) == "Bearer third"


def test_an_empty_secret_keeps_the_old_one_and_no_header_removes_it(admin: Client) -> None:
    endpoint = added(admin)
    edit(admin, endpoint, title="Other")
    assert unseal(endpoint.secret) == SECRET
    edit(admin, endpoint, header="")
    assert endpoint.secret == ""


def test_a_secret_does_not_go_to_another_host_unless_it_is_entered_again(admin: Client) -> None:
    endpoint = added(admin)
    answer = edit(admin, endpoint, url="https://mine.example/predict")
    assert errors_of(answer)["new_secret"] == ["Enter the secret again: it was for another host."]
    assert edit(admin, endpoint, url="https://birds.example/v2").status_code == 302
    assert edit(admin, endpoint, url="https://mine.example/", new_secret="new", version="2").status_code == 302


def test_the_version_rises_by_itself_with_the_url_and_with_what_is_sent_and_never_falls(admin: Client) -> None:
    endpoint = added(admin)
    edit(admin, endpoint, title="Other", timeout="60")
    assert endpoint.version == 1
    edit(admin, endpoint, url="https://birds.example/v2")
    assert endpoint.version == 2
    edit(admin, endpoint, url="https://birds.example/v2", version="2", sends="wav")
    assert endpoint.version == 3
    edit(admin, endpoint, url="https://birds.example/v3", version="7", sends="wav")
    assert endpoint.version == 7
    assert "can only rise" in str(errors_of(edit(admin, endpoint, version="1")))


def test_the_name_stays_and_a_change_that_may_help_lets_jobs_try_at_once(admin: Client) -> None:
    endpoint = added(admin)
    ModelEndpoint.objects.update(failures=9, reason="is down", next_try=Now() + timedelta(hours=1))
    edit(admin, endpoint, name="other", timeout="60")
    assert (endpoint.name, endpoint.failures, endpoint.next_try) == ("birds", 0, None)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"name": "Big Birds"}, "name"),
        ({"url": "ftp://birds.example"}, "url"),
        ({"url": "https://user:pw@birds.example/"}, "url"),
        ({"header": "Host"}, "header"),
        ({"header": "A: b"}, "header"),
        ({"header": ""}, "header"),
        ({"new_secret": ""}, "new_secret"),
        ({"new_secret": "two\nlines"}, "new_secret"),
        ({"new_secret": "grün"}, "new_secret"),
        ({"sends": "wav", "rate": "100"}, "rate"),
        ({"sends": "frames", "rate": "100"}, "rate"),
        ({"sends": "frames", "rate": "nan"}, "rate"),
        ({"concurrency": "0"}, "concurrency"),
        ({"timeout": "0"}, "timeout"),
        ({"retries": "-1"}, "retries"),
        ({"version": "0"}, "version"),
    ],
)
def test_wrong_values_are_refused_at_their_field(admin: Client, changed: dict[str, str], wrong: str) -> None:
    assert list(errors_of(admin.post(ADD, fields(**changed)))) == [wrong]
    assert not ModelEndpoint.objects.exists()


def test_model_servers_are_for_administrators_alone() -> None:
    endpoint = an_endpoint()
    for group, status in (("Viewer", 403), ("Operator", 403), ("Administrator", 200)):
        user = baker.make(User, username=group, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        for page in (ADD, page_of(endpoint), "/admin/media_jobs/modelendpoint/"):
            assert client.get(page).status_code == status, (group, page)


def test_what_was_sealed_with_another_key_is_not_readable(settings: Any) -> None:
    sealed = seal(SECRET)
    settings.SECRET_KEY = "another"
    with pytest.raises(Unreadable):
        unseal(sealed)
    with pytest.raises(EndpointUntrusted, match="enters it again"):
        model_endpoints.server_of(an_endpoint(header="Authorization", secret=sealed))
