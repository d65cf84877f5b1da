"""Presets that run on new uploads: whose choice counts, what runs, what does not and why."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from model_bakery import baker

from media_jobs.models import Arrival, Job, Preset
from media_jobs.operations.thumbnail import Thumbnail
from media_jobs.queue import arrivals, presets
from media_jobs.queue.submission import inspect_new
from tests.support.api_client import api_client
from tests.support.in_server import arrivals as in_server
from tests.support.job_orders import a_form, order, post
from tests.support.job_rows import a_file, a_user, a_worker, end, started
from tests.support.server import Server, form_part
from tests.support.tus_client import Client as TusClient
from uploads.models import MediaFile, Upload
from uploads.storage.files import delete_file

PICTURE = {"index": 0, "codec": "h264", "width": 16, "height": 16, "coded_width": 16, "coded_height": 16}
FACTS = {"format": "mov", "duration": 2.0, "video": [PICTURE]}


def house(name: str = "House", operation: str = "thumbnail", **params: Any) -> Preset:
    return presets.save(None, name, operation, params, on_arrival=True)


def arrive(file: MediaFile, named: list[str] | None = None) -> None:
    """The end of an upload."""
    inspect_new(file)
    arrivals.remember(baker.prepare(Upload, owner=file.owner, on_arrival=named), file)


def inspected(file: MediaFile) -> None:
    end(started(a_worker(), Job.objects.get(file=file, operation="inspect")), facts=FACTS)


def run_on(file: MediaFile) -> set[str]:
    arrivals.carry_out_due()
    return set(Job.objects.filter(file=file, on_arrival=True).values_list("preset", flat=True))


def notes_on(file: MediaFile) -> Any:
    return {each["preset"]: each["note"] for each in Arrival.objects.get(file=file).notes}


@pytest.mark.django_db
class TestChoices:
    def test_presets_of_the_house_run_after_the_inspection_and_once(self) -> None:
        house()
        file = a_file()
        arrive(file)
        assert run_on(file) == set()
        inspected(file)
        assert run_on(file) == {"House"}
        assert run_on(file) == {"House"}
        [job] = Job.objects.filter(on_arrival=True)
        assert (job.owner, job.automatic, job.priority) == (file.owner, False, 0)
        assert not Arrival.objects.exists()

    def test_an_account_adds_its_own_and_switches_off_that_of_the_house(self) -> None:
        alice = a_user()
        common, spare = house(), presets.save(None, "Spare", "thumbnail", {"width": 70})
        own = presets.save(alice, "Own", "thumbnail", {"width": 71}, on_arrival=True)
        client = api_client(alice)

        def chosen() -> set[str]:
            rows = client.get("/api/v1/presets/").json()["results"]
            assert {row["id"] for row in rows if row["runs_for_you"]} == {
                str(each.pk) for each in arrivals.chosen_by(alice.pk)
            }
            return {row["name"] for row in rows if row["runs_for_you"]}

        assert chosen() == {"House", "Own"}
        for preset, runs, after in (
            (common, False, {"Own"}), (spare, True, {"Own", "Spare"}), (own, False, {"Spare"}),
            (common, None, {"House", "Spare"}), (spare, None, {"House"}), (own, True, {"House", "Own"}),
        ):  # fmt: skip
            answer = client.put(f"/api/v1/presets/{preset.pk}/arrival/", {"runs": runs}, format="json")
            assert answer.status_code == 200
            assert chosen() == after
        assert set(arrivals.chosen_by(a_user().pk)) == {common}  # nobody else's choice

    def test_an_account_chooses_only_among_presets_it_may_use(self) -> None:
        theirs, client = presets.save(a_user(), "Theirs", "thumbnail", {}), api_client(a_user())
        assert client.put(f"/api/v1/presets/{theirs.pk}/arrival/", {"runs": True}, format="json").status_code == 404
        assert client.patch(f"/api/v1/presets/{house().pk}/", {"on_arrival": False}, format="json").status_code == 403

    def test_an_upload_that_names_presets_gets_these_and_no_others(self) -> None:
        house()
        file, other = a_file(), a_file()
        mine = presets.save(file.owner, "Mine", "thumbnail", {"width": 71})
        arrive(file, [str(mine.pk)])
        arrive(other, [])
        inspected(file)
        inspected(other)
        assert (run_on(file), run_on(other)) == ({"Mine"}, set())

    def test_no_row_is_left_where_nothing_is_chosen(self) -> None:
        arrive(a_file())
        assert not Arrival.objects.exists()

    def test_what_jobs_make_is_no_arrival(self) -> None:
        house()
        file = a_file()
        arrive(file)
        end(started(a_worker(), Job.objects.get(file=file)), "poster.jpg", facts=FACTS)
        assert Arrival.objects.count() == 1


@pytest.mark.django_db
class TestWhatDoesNotRun:
    def test_a_kind_that_does_not_fit_is_passed_over_unless_it_was_named(self) -> None:
        preset = house()
        usual, named = a_file(kind="audio"), a_file(kind="audio")
        arrivals.choose(named.owner, preset, False)
        arrive(usual)
        arrive(named, [str(preset.pk)])
        inspected(usual)
        inspected(named)
        assert (run_on(usual), run_on(named)) == (set(), set())
        assert not Arrival.objects.filter(file=usual).exists()
        assert "works on image or video, but a.mp4 is audio" in notes_on(named)["House"]

    def test_facts_that_do_not_fit_leave_a_note_for_all_to_see(self) -> None:
        file = a_file()
        house("Late", at=99.0)
        house("Early", at=1.0)
        arrive(file)
        inspected(file)
        assert run_on(file) == {"Early"}
        assert "lasts only 2.0 s" in notes_on(file)["Late"]
        told = api_client(file.owner).get(f"/api/v1/files/{file.pk}/arrival/").json()
        assert (told["waiting"], [each["preset"] for each in told["notes"]]) == (False, ["Late"])
        staff = User.objects.create_user("viewer", is_staff=True)
        staff.groups.add(Group.objects.get(name="Viewer"))
        page = Client()
        page.force_login(staff)
        assert "lasts only 2.0 s" in page.get(f"/admin/uploads/mediafile/{file.pk}/change/").content.decode()

    def test_a_preset_that_cannot_be_used_leaves_a_note_and_the_others_run(self) -> None:
        file = a_file()
        house()
        Preset.objects.create(name="Gone", operation="engrave", on_arrival=True)
        arrive(file)
        inspected(file)
        assert run_on(file) == {"House"}
        assert "Delete the preset" in notes_on(file)["Gone"]

    def test_nothing_runs_on_a_file_that_could_not_be_inspected(self) -> None:
        file = a_file()
        house()
        arrive(file)
        Job.objects.filter(file=file).update(status="failed", error_code="bad_media", finished_at="2026-01-01T00:00Z")
        assert run_on(file) == set()
        assert "damaged" in notes_on(file)["House"]

    def test_an_error_of_ours_is_told_and_stops_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        house()
        files = [a_file(), a_file()]
        for file in files:
            arrive(file)
            inspected(file)
        broken = files[0].pk
        check = Thumbnail.check

        def fail(self: Any, params: Any, kind: str, facts: Any) -> None:
            if Arrival.objects.filter(pk=broken, done_at=None).exists():
                raise ZeroDivisionError
            check(self, params, kind, facts)

        monkeypatch.setattr(Thumbnail, "check", fail)
        arrivals.carry_out_due()
        assert "An error in Millrace" in notes_on(files[0])["House"]
        assert run_on(files[1]) == {"House"}


@pytest.mark.django_db
def test_a_file_may_be_deleted_before_and_while_its_presets_run() -> None:
    house()
    before, while_running = a_file(), a_file()
    arrive(before)
    assert delete_file(before)
    arrive(while_running)
    inspected(while_running)
    assert run_on(while_running) == {"House"}
    assert delete_file(while_running)
    [job] = Job.objects.filter(on_arrival=True)
    assert job.status == "cancelled"
    assert arrivals.carry_out_due() == 0


@pytest.mark.django_db
def test_one_click_switches_an_operation_on_for_all_and_one_off_again() -> None:
    boss = User.objects.create_user("boss", is_staff=True)
    boss.groups.add(Group.objects.get(name="Administrator"))
    client, url = Client(), "/admin/media_jobs/preset/arrivals/"
    client.force_login(boss)
    assert 'value="hls"' in client.get(url).content.decode()
    assert client.post(url, {"operation": "hls"}).status_code == 302
    preset = Preset.objects.get()
    assert (preset.owner, preset.operation, preset.params, preset.on_arrival) == (None, "hls", {}, True)
    assert 'value="hls"' not in client.get(url).content.decode()
    client.post(url, {"preset": str(preset.pk), "for": "me", "to": "off"})
    assert (list(arrivals.chosen_by(boss.pk)), list(arrivals.chosen_by(0))) == ([], [preset])
    client.post(url, {"preset": str(preset.pk), "for": "all", "to": "off"})
    assert list(arrivals.chosen_by(0)) == []
    boss.groups.set([Group.objects.get(name="Operator")])
    for said in ({"preset": str(preset.pk), "for": "all", "to": "on"}, {"operation": "thumbnail"}):
        client.post(url, said)
    assert not Preset.objects.filter(on_arrival=True).exists()
    assert client.post(url, {"preset": "x", "for": "me", "to": "on"}).status_code == 404


# Through every entrance


def saved(server: Server, name: str, **params: Any) -> str:
    answer = post(server, "/api/v1/presets/", {"name": name, "operation": "thumbnail", "params": params})
    assert answer.status == 201, answer
    return str(answer.json()["id"])


def test_every_entrance_takes_presets_and_refuses_unknown_ones_before_the_first_byte(
    quick_server: Server, clip: bytes
) -> None:
    server = quick_server
    one, two = saved(server, "One", width=81), saved(server, "Two", width=82)
    put = server.request("PUT", "/api/v1/upload/a.mp4?presets=One,Two", clip + b"a1")
    form = server.post_form(a_form({"presets": "Two"}, clip + b"a2"))
    query = server.post_form(a_form({}, clip + b"a3"), path="/api/v1/files/?presets=Two")
    none = server.request("PUT", "/api/v1/upload/b.mp4?presets=", clip + b"a4")
    tus = TusClient(server)
    tus_headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(clip) + 2)}
    begun = server.request("POST", f"/api/v1/uploads/?presets={two}", b"", tus_headers)
    tus.finish(begun.headers["Location"], clip + b"a5")
    before_it = server.request(
        "POST", "/api/v1/jobs/?presets=One", b'{"operation": "inspect", "upload": {"name": "c.mp4", "size": 9}}',
        {"Content-Type": "application/json"},
    )  # fmt: skip
    assert before_it.status == 201, before_it
    with_job = server.post_form(
        a_form({"operation": "inspect"}, clip + b"a7", name="d.mp4"), path="/api/v1/jobs/?presets=One"
    )
    assert with_job.status == 202, with_job
    named = server.call(in_server.named_by_uploads)
    resumable = begun.headers["Location"].rpartition("/")[2]
    assert [named[answer.json()["id"]] for answer in (put, form, query, none)] == [[one, two], [two], [two], []]
    assert named[resumable] == [two]
    assert named[before_it.json()["upload_url"].rpartition("/")[2]] == [one]
    assert server.call(in_server.to_be_run)["d.mp4"] == named[with_job.json()["file"]] == [one]
    for answer in (
        server.request("PUT", "/api/v1/upload/a.mp4?presets=Three", clip),
        server.post_form(a_form({"presets": "Three"}, clip)),
        server.request("POST", "/api/v1/uploads/?presets=Three", b"", tus_headers),
        server.post_form(a_form({"operation": "inspect"}, clip), path="/api/v1/jobs/?presets=Three"),
    ):
        assert (answer.status, answer.code) == (400, "invalid_params")
        assert "There is no preset “Three”. Choose one of: " in answer.json()["detail"]
    for answer in (
        server.request("PUT", "/api/v1/upload/a.mp4?presets=" + ",".join(map(str, range(21))), clip),
        order(server, operation="inspect", upload={"name": "c.mp4", "size": 9}, presets="One"),
    ):
        assert (answer.status, answer.code) == (400, "invalid_params")
    assert server.call(in_server.named_by_uploads) == named


def test_a_choice_after_the_file_is_refused_because_it_comes_too_late(quick_server: Server, clip: bytes) -> None:
    late = quick_server.post_form(a_form({}, clip + b"a8", form_part("presets", b"")))
    assert (late.status, late.code) == (400, "malformed_form")
    assert "before the file" in late.json()["detail"]


def test_a_repeated_request_must_name_the_same_presets(quick_server: Server, clip: bytes) -> None:
    saved(quick_server, "Again", width=83)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, again, *others = (
        quick_server.request("PUT", f"/api/v1/upload/a.mp4{choice}", clip + b"a6", key)
        for choice in ("?presets=Again", "?presets=Again", "?presets=", "")
    )
    assert first.json()["id"] == again.json()["id"]
    assert {(other.status, other.code) for other in others} == {(422, "key_reused")}
