"""The admin pages of jobs, workers and lanes: permissions, actions and messages."""

import html
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.support.admin_client import Browser, signed_in
from tests.support.in_server import jobs as job_rows
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template
from tests.support.waiting import wait_until

JOBS = "/admin/media_jobs/job/"
LANES = "/admin/media_jobs/lane/"
_moments = itertools.count()


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a worker of the quick lane; what is of the heavy one waits."""
    with running(template, tmp_path_factory) as made:
        made.start_worker("quick")
        yield made


@pytest.fixture(scope="module")
def file(server: Server, clip: bytes) -> str:
    return str(server.put("film.mp4", clip).json()["id"])


@pytest.fixture(scope="module")
def operator(server: Server) -> Browser:
    return signed_in(server, "operator")


@pytest.fixture(scope="module")
def viewer(server: Server) -> Browser:
    return signed_in(server, "viewer")


def submit(server: Server, file: str, operation: str = "transcode", **params: Any) -> str:
    order = json.dumps({"operation": operation, "file": file, "params": params}).encode()
    answer = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"})
    assert answer.status == 202, answer
    return str(answer.json()["id"])


def waiting(server: Server, file: str) -> str:
    return submit(server, file, end=1 + next(_moments) / 100)


def finished(server: Server, file: str) -> str:
    job = submit(server, file, "thumbnail", width=100 + next(_moments))
    assert of(server, job, wait=30)["status"] == "succeeded"
    return job


def of(server: Server, job: str, wait: int = 0) -> Any:
    return server.get(f"/api/v1/jobs/{job}/?wait={wait}", user="alice").json()


def page(browser: Browser, path: str) -> str:
    """What people read there: without the tags, and with the characters that they stand for."""
    answer = browser.request("GET", path)
    assert answer.status == 200, (path, answer)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.body.decode())).split())


def act(browser: Browser, action: str, *chosen: str, place: str = JOBS, **more: str) -> Answer:
    fields = [("action", action), *(("_selected_action", pk) for pk in chosen), *more.items()]
    return browser.post(place, fields)


# Who may


def test_a_viewer_sees_a_job_and_is_offered_nothing(server: Server, viewer: Browser, file: str) -> None:
    job = waiting(server, file)
    body = viewer.request("GET", f"{JOBS}{job}/change/").body.decode()
    assert "film.mp4" in body
    assert not re.search(r"/(cancel|retry|delete|run)/", body)


def test_a_viewer_is_forbidden_to_act_at_every_address(server: Server, viewer: Browser, file: str) -> None:
    job, done = waiting(server, file), finished(server, file)
    for verb in ("cancel", "retry", "delete"):
        for chosen in (job, done):
            assert viewer.post(f"{JOBS}{chosen}/{verb}/", {"post": "yes"}).status == 403, verb
        assert act(viewer, f"{verb}_selected", job, done, post="yes").status == 403, verb
    for verb in ("pause", "resume"):
        assert act(viewer, verb, "heavy", place=LANES).status == 403
    assert (of(server, job)["status"], of(server, done)["status"]) == ("queued", "succeeded")


def test_what_acts_is_not_done_by_following_a_link(server: Server, operator: Browser, file: str) -> None:
    job = waiting(server, file)
    for verb in ("cancel", "retry"):
        assert operator.request("GET", f"{JOBS}{job}/{verb}/").status == 405
    assert of(server, job)["status"] == "queued"


# One job


def test_parameters_stand_in_the_order_of_the_form(server: Server, operator: Browser, file: str) -> None:
    titles = ["Codec", "Height", "Quality", "Frames per second", "Start", "End", "Sound", "Sound bitrate"]
    form, job = f"/admin/uploads/mediafile/{file}/run/?operation=transcode", waiting(server, file)
    for path, tag in ((form, "label"), (f"{JOBS}{job}/change/", "th")):
        body = operator.request("GET", path).body.decode()
        found = re.findall(rf"<{tag}\b[^>]*>\s*([^<]*?)\s*</{tag}>", body)
        assert [title for title in found if title in titles] == titles


def test_an_operator_cancels_and_retries_and_the_history_tells_who(
    server: Server, operator: Browser, file: str
) -> None:
    job = waiting(server, file)
    assert operator.post(f"{JOBS}{job}/cancel/").status == 302
    assert of(server, job)["status"] == "cancelled"
    assert operator.post(f"{JOBS}{job}/retry/").status == 302
    assert of(server, job)["status"] == "queued"
    told = page(operator, f"{JOBS}{job}/history/")
    assert "operator" in told
    assert "Cancelled." in told
    assert "Queued again." in told


@pytest.mark.parametrize(("verb", "words"), [("cancel", "already ended"), ("retry", "Only failed and cancelled")])
def test_what_cannot_be_done_is_said(server: Server, operator: Browser, file: str, verb: str, words: str) -> None:
    job = finished(server, file)
    assert operator.post(f"{JOBS}{job}/{verb}/").status == 302
    assert words in page(operator, f"{JOBS}{job}/change/")


def test_a_page_shows_what_was_asked_run_and_made(server: Server, operator: Browser, file: str) -> None:
    job = finished(server, file)
    [artifact] = of(server, job)["artifacts"]
    said = page(operator, f"{JOBS}{job}/change/")
    for words in (
        "Thumbnail film.mp4",
        "Width",
        "queued",
        "running",
        "attempt 1",
        "ffmpeg -nostdin",
        artifact["name"],
    ):
        assert words in said, words
    body = operator.request("GET", f"{JOBS}{job}/change/").body.decode()
    picture = f"/api/v1/jobs/{job}/artifacts/{artifact['name']}"
    assert f'<img src="{picture}"' in body
    assert operator.request("GET", picture).headers["Content-Type"] == "image/jpeg"
    assert "attachment" in operator.request("GET", f"{picture}?download").headers["Content-Disposition"]


def test_what_moves_on_the_page_is_answered_at_once(server: Server, viewer: Browser, file: str) -> None:
    job = waiting(server, file)
    row = viewer.request("GET", f"{JOBS}{job}/live/").json()["rows"][job]
    assert (row["state"], row["active"], row["steps"]) == ("queued", True, "1 0 0")
    assert row["message"] == "Waiting for a worker: the lane heavy has no running worker."
    assert {"speed", "left", "duration", "command", "log", "progress", "label"} <= row.keys()


def test_the_names_of_files_are_text(server: Server, operator: Browser, clip: bytes) -> None:
    name = "{{7*7}}<script>alert(1)<b>\"x'.mp4"
    job = waiting(server, str(server.put(quote(name), clip).json()["id"]))
    for path in (f"{JOBS}{job}/change/", JOBS):
        body = operator.request("GET", path).body.decode()
        assert "<script>alert" not in body
        assert html.escape(name) in body


# Many


def test_many_are_cancelled_at_once_and_one_message_says_what_became_of_them(
    server: Server, operator: Browser, file: str
) -> None:
    chosen = [waiting(server, file), waiting(server, file), finished(server, file)]
    assert act(operator, "cancel_selected", *chosen).status == 302
    assert "2 cancelled, 1 had already ended." in page(operator, JOBS)
    assert act(operator, "retry_selected", *chosen).status == 302
    assert "2 queued again, 1 had already ended." in page(operator, JOBS)
    assert [of(server, job)["status"] for job in chosen] == ["queued", "queued", "succeeded"]


def test_deleting_names_first_what_goes_too(server: Server, operator: Browser, file: str) -> None:
    chosen = [finished(server, file), waiting(server, file)]
    made = of(server, chosen[0])["artifacts"][0]["file"]
    asked = act(operator, "delete_selected", *chosen)
    said = html.unescape(asked.body.decode())
    assert asked.status == 200
    assert "film.thumbnail.jpg" in said
    assert re.search(r"1 \([\d.]+ KB\)", said)
    assert "1 of these 2 jobs have not ended" in said
    assert of(server, chosen[0])["status"] == "succeeded"
    assert act(operator, "delete_selected", *chosen, post="yes").status == 302
    assert "1 deleted, 1 had not ended." in page(operator, JOBS)
    assert server.get(f"/api/v1/files/{made}/", user="alice").status == 404
    assert of(server, chosen[1])["status"] == "queued"


def test_one_is_deleted_from_its_page_and_an_unfinished_one_is_not(
    server: Server, operator: Browser, file: str
) -> None:
    job = finished(server, file)
    assert "film.thumbnail.jpg" in page(operator, f"{JOBS}{job}/delete/")
    assert operator.post(f"{JOBS}{job}/delete/", {"post": "yes"}).status == 302
    assert server.get(f"/api/v1/jobs/{job}/", user="alice").status == 404
    job = waiting(server, file)
    assert operator.post(f"{JOBS}{job}/delete/", {"post": "yes"}).status == 302
    assert "Cancel it first" in page(operator, f"{JOBS}{job}/change/")


# Workers and lanes


def test_a_worker_is_shown_as_alive_until_it_is_not(server: Server, viewer: Browser) -> None:
    wait_until(lambda: "idle" in page(viewer, "/admin/media_jobs/worker/"), 30)  # it may be at what others have sent
    said = page(viewer, "/admin/media_jobs/worker/")
    assert "quick" in said
    assert "✓ own session" in said
    server.call(job_rows.make_worker_row, "heavy", "far", minutes_ago=5)
    assert "heavy lost" in page(viewer, "/admin/media_jobs/worker/")


def test_an_operator_pauses_a_lane_and_lets_it_go_on(server: Server, operator: Browser) -> None:
    assert act(operator, "pause", "quick", place=LANES).status == 302
    assert "Paused: quick." in (said := page(operator, LANES))
    assert "quick paused 1" in said
    assert act(operator, "resume", "quick", place=LANES).status == 302
    assert "quick open 1" in page(operator, LANES)
    assert "Paused." in page(operator, f"{LANES}quick/history/")


def test_lanes_say_how_they_are_now(server: Server, viewer: Browser, file: str) -> None:
    waiting(server, file)
    lane = viewer.request("GET", f"{LANES}live/?id=heavy&id=nonsense&since=2020-01-01T00:00:00Z").json()
    assert lane["rows"].keys() == {"heavy"}
    assert (lane["rows"]["heavy"]["state"], lane["rows"]["heavy"]["workers"]) == ("open", 0)
    assert (lane["rows"]["heavy"]["queued"] > 0, lane["new"]) == (True, 0)


def test_workers_say_what_they_do_now(server: Server, viewer: Browser) -> None:
    listed = viewer.request("GET", "/admin/media_jobs/worker/").body.decode()
    shown = re.findall('data-live-id="([^"]+)" data-live="state"', listed)

    def now() -> list[Any]:
        asked = urlencode([("id", pk) for pk in [*shown, "no-id"]])
        return list(viewer.request("GET", f"/admin/media_jobs/worker/live/?{asked}").json()["rows"].values())

    def idle() -> list[Any]:
        return [row for row in now() if row["active"] and row["state"] == "idle"]

    [alive] = wait_until(idle, 30)
    assert (alive["doing"], alive["doing_url"]) == ("–", "")
    assert {(row["state"], row["label"]) for row in now() if not row["active"]} <= {("missing", "lost")}
