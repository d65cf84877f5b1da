"""Every page of the admin in a real Chromium: light, dark, and on a phone.

With TESTS_PHOTOS=1 the photographs are in var/screenshots: look at them after a change. README shows others, in
docs/images.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from media_jobs.queue import batch_chores
from tests.support import model_endpoint_rows
from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph
from tests.support.browser_staff import signed_in
from tests.support.in_server import accounts
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.tus_client import Client, metadata

HOSTILE = """<script>alert(1)<script>{{7*7}}"x-data='1'.mp4"""
SOON = 60_000


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as made:
        made.start_worker("quick")
        yield made


@pytest.fixture(scope="module")
def pages(server: Server, clip: bytes) -> dict[str, str]:
    """URLs of pages, after uploads and jobs in each state: stored, uploading, waiting, finished and failed."""
    film = server.request("PUT", "/api/v1/upload/holiday.mp4", clip, user="operator").json()["id"]
    client = Client(server, "operator")
    upload = client.new(len(clip), metadata(filename=HOSTILE))
    client.patch(upload, 0, clip[: len(clip) // 2])
    server.request("PUT", "/api/v1/upload/notes.txt", b"no media at all", user="operator")
    queued = _job(server, film, "transcode")
    done = _job(server, film, "thumbnail")
    failed = _job(server, film, "thumbnail", at=3)
    for job in (done, failed):
        server.get(f"/api/v1/jobs/{job}/?wait=30", user="operator")
    below: dict[str, tuple[str, Any]] = {
        "file": ("uploads/mediafile", film),
        "upload": ("uploads/upload", upload.rpartition("/")[2]),
    }
    account = server.call(accounts.limit_account, "operator", quota=50 * 10**9, max_uploads=4)
    group = server.call(accounts.limit_group, "Operator", max_file_size=20 * 1024**3)
    below |= {"account": ("auth/user", account), "group": ("auth/group", group)}
    below |= {"job": ("media_jobs/job", done), "waiting-job": ("media_jobs/job", queued)}
    saved = _saved(server, "Small for the newsletter", "thumbnail", {"width": 320, "at": "50%"})
    below["batch"] = ("media_jobs/batch", _batch(server))
    below["preset"] = ("media_jobs/preset", saved)
    server.call(
        model_endpoint_rows.add, "birds", "Bearer tiger-lily", url="https://birds.example/predict", sends="wav"
    )
    down: dict[str, Any] = {"failures": 4, "reason": "does not accept connections", "sends": "frames", "rate": 2.0}
    server.call(model_endpoint_rows.add, "plates", url="http://10.1.2.3:9000/", title="Number plates", **down)
    [(endpoint,)] = query(server, "SELECT id FROM media_jobs_modelendpoint WHERE name = 'birds'")
    below["model-server"] = ("media_jobs/modelendpoint", endpoint)
    lists = [
        "media_jobs/modelendpoint",
        "media_jobs/batch",
        "media_jobs/preset",
        "uploads/mediafile",
        "uploads/upload",
        "media_jobs/job",
        "media_jobs/worker",
        "media_jobs/lane",
    ]
    people = ["auth/user", "auth/group", "uploads/token", "admin/logentry"]
    return (
        {"dashboard": "/admin/"}
        | {f"list-{of.rpartition('/')[2]}": f"/admin/{of}/" for of in [*lists, *people]}
        | {name: f"/admin/{of}/{pk}/change/" for name, (of, pk) in below.items()}
        | {"run": f"/admin/uploads/mediafile/{film}/run/?operation=transcode", "add": "/admin/uploads/mediafile/add/"}
        | {"arrivals": "/admin/media_jobs/preset/arrivals/", "choose": f"/admin/uploads/mediafile/{film}/run/"}
        | {"run-on-all": "/admin/uploads/mediafile/all/run/?kind__exact=video"}
        | {"predict": f"/admin/uploads/mediafile/{film}/run/?operation=predict"}
        | {"add-model-server": "/admin/media_jobs/modelendpoint/add/"}
        | {"search": "/admin/uploads/mediafile/search/?q=holiday"}
        | {"link": f"/admin/uploads/mediafile/{film}/link/"}
    )


def _batch(server: Server) -> str:
    """One with a job that waits, and files that were skipped."""
    order = {"operation": "transcode", "filter": {"origin": ["upload", "job"]}, "metadata": {"case": "holiday 7"}}
    headers = {"Content-Type": "application/json"}
    made = server.request("POST", "/api/v1/jobs/batch/", json.dumps(order).encode(), headers, user="operator")
    server.call(batch_chores.carry_on)
    return str(made.json()["id"])


def _saved(server: Server, name: str, operation: str, params: dict[str, Any]) -> str:
    said = {"name": name, "operation": operation, "params": params, "for_all": True, "on_arrival": True}
    headers = {"Content-Type": "application/json"}
    return str(
        server.request("POST", "/api/v1/presets/", json.dumps(said).encode(), headers, user="admin").json()["id"]
    )


def _job(server: Server, film: str, operation: str, **params: Any) -> str:
    order = json.dumps({"operation": operation, "file": film, "params": params}).encode()
    sent = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}, user="operator")
    return str(sent.json()["id"])


def test_every_page_is_whole_and_quiet(browser: Browser, server: Server, pages: dict[str, str]) -> None:
    with signed_in(browser, server, "admin") as page:
        for name, address in pages.items():
            answer = page.goto(server.url + address)
            assert answer is not None, name
            assert answer.status == 200, name
            page.wait_for_load_state("networkidle")
            for look in looks_of(page):
                photograph(page, f"{name}-{look}")
                assert not is_wider_than_its_window(page), f"{name} scrolls sideways: {look}"


def test_the_front_page_tells_what_is_so_and_goes_on_telling(browser: Browser, server: Server, pages: Any) -> None:
    with signed_in(browser, server, "operator") as page:
        page.goto(f"{server.url}/admin/")
        dashboard = page.locator("#mr-dashboard")
        expect(dashboard).to_contain_text(HOSTILE)
        expect(dashboard).to_contain_text("No worker of the lane heavy is running.")
        expect(dashboard).to_contain_text("Waiting for a worker: the lane heavy has no running worker.")
        expect(dashboard).to_contain_text("notes.txt")
        expect(dashboard).to_contain_text(re.compile(r"\d+\.\d GB free"))
        sent = server.request("PUT", "/api/v1/upload/second.txt", b"no media either", user="operator")
        assert sent.status == 415
        expect(dashboard).to_contain_text("second.txt", timeout=SOON)


def test_an_upload_s_row_moves_and_new_ones_are_announced(browser: Browser, server: Server, clip: bytes) -> None:
    client = Client(server, "operator")
    path = client.new(len(clip))
    with signed_in(browser, server, "operator") as page:
        page.goto(f"{server.url}/admin/uploads/upload/")
        row = page.locator(f'progress[data-live-id="{path.rpartition("/")[2]}"]')
        expect(row).to_be_visible()
        assert row.evaluate("bar => bar.value") == 0
        client.patch(path, 0, clip[: len(clip) // 2])
        page.wait_for_function("bar => bar.value > 0.4 && bar.value < 0.6", arg=row.element_handle(), timeout=SOON)
        client.finish(path, clip)
        expect(page.locator(f'.mr-state[data-live-id="{path.rpartition("/")[2]}"]')).to_have_text("complete")
        server.request("PUT", "/api/v1/upload/third.txt", b"nor this", user="operator")
        expect(page.locator("#mr-new")).to_have_text("1 new row. Show it", timeout=SOON)


def test_a_hidden_page_asks_seldom(browser: Browser, server: Server, pages: Any) -> None:
    """A hidden page hardly polls, even while rows change."""
    asked: list[float] = []
    with signed_in(browser, server, "operator") as page:
        page.goto(f"{server.url}/admin/uploads/upload/")
        page.on("request", lambda request: asked.append(time.monotonic()) if "/live/" in request.url else None)
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        page.wait_for_timeout(5000)
    assert len(asked) <= 1
