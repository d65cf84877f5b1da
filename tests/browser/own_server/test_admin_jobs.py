"""The admin pages of jobs in a real Chromium with real workers. No test reloads a page."""

import json
import random
import re
import subprocess
from contextlib import AbstractContextManager
from typing import Any

import imageio_ffmpeg
import pytest
from playwright.sync_api import Page, expect

from tests.support.processes import stopped_at_work
from tests.support.server import Server
from tests.support.waiting import wait_until

JOBS = "/admin/media_jobs/job/"
SOON = 120_000
UNLOADED = "window.addEventListener('pagehide', () => sessionStorage.setItem('left', 'yes'))"


@pytest.fixture(scope="module")
def server(server: Server) -> Server:
    server.start_worker("heavy")
    return server


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Large enough to be watched while it is encoded."""
    path = tmp_path_factory.mktemp("footage") / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=10", "-preset", "ultrafast"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, str(path)], check=True)
    return path.read_bytes()


@pytest.fixture
def film(server: Server, footage: bytes) -> str:
    """A unique clip, so that no result comes from the cache."""
    free = (24).to_bytes(4, "big") + b"free" + random.randbytes(16)
    return str(server.put("film.mp4", footage + free).json()["id"])


def submit(server: Server, file: str, **params: Any) -> str:
    order = json.dumps({"operation": "transcode", "file": file, "params": params}).encode()
    answer = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"})
    assert answer.status == 202, answer
    return str(answer.json()["id"])


def shown(server: Server, job: str) -> Any:
    return server.get(f"/api/v1/jobs/{job}/", user="alice").json()


def stopped_half_way(server: Server, job: str) -> AbstractContextManager[None]:
    """An ffmpeg that stops after its first progress report: a fast one would end before the test sees it run."""
    told = re.compile(r"Encoded [1-9]")
    return stopped_at_work(server.home / "work", lambda: told.match(shown(server, job)["message"]), SOON / 1000)


def test_a_row_moves_until_its_job_has_succeeded(server: Server, page: Page, film: str) -> None:
    job = submit(server, film, codec="vp9", end=4)
    with stopped_half_way(server, job):
        page.goto(server.url + JOBS)
        page.evaluate(UNLOADED)
        row = page.locator("tr", has=page.locator(f'[data-live-id="{job}"]'))
        bar, badge = row.locator("progress"), row.locator(".mr-state")
        expect(badge).to_have_text("running", timeout=SOON)
        expect(row.locator(".mr-message")).to_have_text(re.compile(r"Encoded \d+ of \d+ frames"), timeout=SOON)
    expect(badge).to_have_text("succeeded", timeout=SOON)
    assert bar.evaluate("bar => bar.value") == 1
    expect(row.locator('[data-live="duration"]')).to_have_text(re.compile(r"\d"))
    assert page.evaluate("sessionStorage.getItem('left')") is None
    row.locator("th a, td a").first.click()
    expect(page.locator(".mr-title")).to_have_text(re.compile("Transcode.*film.mp4"))


def test_a_page_moves_and_shows_the_log_and_then_what_was_made(server: Server, page: Page, film: str) -> None:
    job = submit(server, film, codec="av1", end=2)
    page.goto(f"{server.url}{JOBS}{job}/change/")
    page.evaluate(UNLOADED)
    expect(page.locator("#mr-log")).to_contain_text("SVT-AV1", timeout=SOON)
    expect(page.locator("#mr-command")).to_contain_text("ffmpeg -nostdin")
    expect(page.locator("#mr-head .mr-state")).to_have_text("succeeded", timeout=SOON)
    expect(page.locator("#mr-timeline li")).to_have_count(3, timeout=SOON)
    player = page.locator("#mr-artifacts video")
    expect(player).to_be_visible()
    page.wait_for_function("document.querySelector('#mr-artifacts video').videoWidth > 0", timeout=SOON)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_role("link", name="Delete")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('left')") is None


def test_workers_are_seen_to_take_up_work_and_lanes_to_become_empty(server: Server, page: Page, film: str) -> None:
    page.goto(f"{server.url}/admin/media_jobs/worker/")
    page.evaluate(UNLOADED)
    expect(page.locator(".mr-state")).to_have_text("idle", timeout=SOON)
    job = submit(server, film, codec="vp9", quality="high")
    with stopped_at_work(server.home / "work"):
        doing = page.get_by_role("link", name="transcode: film.mp4")
        expect(doing).to_have_attribute("href", f"{JOBS}{job}/change/", timeout=SOON)
        expect(page.locator(".mr-state")).to_have_text("busy")
        assert page.evaluate("sessionStorage.getItem('left')") is None

        page.goto(f"{server.url}/admin/media_jobs/lane/")
        page.evaluate(f"sessionStorage.clear(); {UNLOADED}")
        running = page.locator('[data-live-id="heavy"][data-live="running"]')
        expect(running).to_have_text("1")
        assert server.request("POST", f"/api/v1/jobs/{job}/cancel/").status == 200
    expect(running).to_have_text("0", timeout=SOON)
    assert page.evaluate("sessionStorage.getItem('left')") is None


def test_cancelling_on_the_page_ends_it(server: Server, page: Page, film: str) -> None:
    job = submit(server, film, codec="vp9", quality="high")
    with stopped_at_work(server.home / "work", lambda: shown(server, job)["command"]):
        page.goto(f"{server.url}{JOBS}{job}/change/")
        expect(page.locator("#mr-head .mr-state")).to_have_text("running", timeout=SOON)
        expect(page.locator("#mr-command")).to_contain_text("ffmpeg", timeout=SOON)
        page.get_by_role("button", name="Cancel").click()
        wait_until(lambda: shown(server, job)["status"] == "cancelled", 30)
    expect(page.locator("#mr-head .mr-state")).to_have_text("cancelled", timeout=SOON)
    expect(page.get_by_role("button", name="Retry")).to_be_visible(timeout=SOON)


def test_a_failed_job_says_why_and_what_to_do(server: Server, page: Page, clip: bytes) -> None:
    cut = str(server.put("cut.mp4", clip[: len(clip) // 2]).json()["id"])
    page.goto(f"{server.url}{JOBS}{submit(server, cut, height=90)}/change/")
    expect(page.locator("#mr-head .mr-state")).to_have_text("failed", timeout=SOON)
    said = page.get_by_role("alert")
    expect(said).to_contain_text("damaged, incomplete")
    expect(said).to_contain_text("What to do:")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_many_are_chosen_and_deleted_after_a_look_at_what_goes(server: Server, page: Page, film: str) -> None:
    job = submit(server, film, height=90, end=1)
    assert server.get(f"/api/v1/jobs/{job}/?wait=30", user="alice").json()["status"] == "succeeded"
    page.goto(server.url + JOBS)
    page.locator(f'input[name="_selected_action"][value="{job}"]').check()
    page.select_option("select[name=action]", "delete_selected")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".mr-tree")).to_contain_text("film.video.mp4")
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("1 deleted.")).to_be_visible()
    assert server.get(f"/api/v1/jobs/{job}/", user="alice").status == 404
