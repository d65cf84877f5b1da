"""Packages with an operation and a detector, built and installed: a real server and worker run them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.admin_client import Browser
from tests.support.job_orders import ended, job, keep, order, submitted
from tests.support.plugin_packages import install_example, install_package
from tests.support.running_servers import running
from tests.support.server import Server, Template
from tests.support.troubled_clips import X264, ffmpeg

GIF = "gif_preview"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = install_example(tmp_path_factory.mktemp("plugin"))
    detectors = install_example(tmp_path_factory.mktemp("detector"), "example_detector")
    install_package(site, "broken-package", "broken = millrace_gif_preview:NoSuchClass")
    with running(template, tmp_path_factory, variables={"PYTHONPATH": f"{site}{os.pathsep}{detectors}"}) as server:
        yield server


@pytest.fixture(scope="module")
def film(server: Server, clip: bytes) -> str:
    return keep(server, clip)


def test_an_installed_operation_has_a_schema_a_form_and_a_place_in_the_help(server: Server, film: str) -> None:
    listed = {item["name"]: item for item in server.get("/api/v1/operations/", user="alice").json()}
    assert listed[GIF]["title"] == "GIF preview"
    assert listed[GIF]["parameters"]["properties"]["width"]["maximum"] == 1280
    staff = Browser(server)
    staff.sign_in("admin")
    form = staff.request("GET", f"/admin/uploads/mediafile/{film}/run/?operation={GIF}").body.decode()
    for words in ("GIF preview", "Length", "Of the preview, in seconds.", 'name="param-fps"'):
        assert words in form
    assert f"  {GIF}: Makes a short animated GIF" in server.manage("submit", "--help").stdout


def test_a_broken_one_is_reported_and_stops_nothing_else(server: Server, film: str) -> None:
    assert "The plug-in broken (broken-package 1.0) cannot be used." in json.dumps(server.get("/readyz").json())
    assert "media_jobs.W004" in server.manage("check").stderr
    refused = order(server, operation="broken", file=film)
    assert (refused.status, refused.code) == (400, "invalid_params")
    assert "The plug-in “broken” cannot be used" in refused.json()["detail"]
    staff = Browser(server)
    staff.sign_in("admin")
    assert "The plug-in broken" in staff.request("GET", "/admin/media_jobs/worker/").body.decode()


def test_an_installed_detector_is_chosen_like_the_others_and_finds_what_it_looks_for(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "red.mp4"
    light = "color=black:s=160x90:r=25:d=4,drawbox=x=40:y=30:w=16:h=16:color=red:t=fill:enable='between(t,0.99,2.99)'"
    ffmpeg("-f", "lavfi", "-i", light, *X264.split(), str(path))
    file = keep(server, path.read_bytes(), "red.mp4")
    listed = {item["name"]: item for item in server.get("/api/v1/operations/", user="alice").json()}
    assert "red_light" in listed["detect"]["parameters"]["properties"]["detectors"]["items"]["enum"]
    server.start_worker("heavy")
    done = ended(server, submitted(server, operation="detect", file=file, params={"detectors": ["red_light"]}))
    assert (done["status"], done["message"]) == ("succeeded", "Processed 100/100 frames (1 red light, 10 detections)")
    made = server.get(f"/api/v1/jobs/{done['id']}/artifacts/detections.json", user="alice").json()
    [find] = made["finds"]
    assert (find["detector"], find["label"]) == ("red_light", "red light")
    assert (find["start"], find["end"]) == pytest.approx((1.0, 3.0), abs=0.2)
    assert find["path"][0][1:] == pytest.approx([40 / 160, 30 / 90, 16 / 160, 16 / 90], abs=0.02)


def test_its_jobs_run_are_cached_and_fail_clearly_once_it_is_removed(server: Server, film: str) -> None:
    server.start_worker("heavy")
    wanted = {"width": 64, "seconds": 1, "fps": 5}
    done = ended(server, submitted(server, operation=GIF, file=film, params=wanted))
    assert (done["status"], [artifact["name"] for artifact in done["artifacts"]]) == ("succeeded", ["preview.gif"])
    picture = server.get(f"/api/v1/jobs/{done['id']}/artifacts/preview.gif", user="alice").body
    assert picture[:6] == b"GIF89a"
    assert picture[6:8] == (64).to_bytes(2, "little")
    again = ended(server, submitted(server, operation=GIF, file=film, params=wanted))
    assert (again["status"], again["cached"]) == ("succeeded", True)
    refused = order(server, operation=GIF, file=film, params={"width": 5})
    assert (refused.status, refused.code) == (400, "invalid_params")

    server.kill()
    server.start()
    waiting = submitted(server, operation=GIF, file=film, params={"width": 65})  # no worker runs
    server.kill()
    server.variables.pop("PYTHONPATH")
    server.start()
    assert order(server, operation=GIF, file=film).status == 400
    server.start_worker("heavy")
    failed = ended(server, waiting)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "operation_unavailable")
    assert "“gif_preview” is not installed here" in failed["error"]["detail"]
    assert failed["attempt"] == 1  # to try again at once would not help
    assert job(server, done["id"])["operation"] == GIF
    listing = server.get(f"/api/v1/jobs/?operation={GIF}", user="alice").json()["results"]
    assert {each["id"] for each in listing} >= {done["id"], failed["id"]}
    staff = Browser(server)
    staff.sign_in("admin")
    for path in ("", f"{done['id']}/change/", f"{failed['id']}/change/"):
        page = staff.request("GET", f"/admin/media_jobs/job/{path}")
        assert (page.status, GIF in page.body.decode()) == (200, True)
