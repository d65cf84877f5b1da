"""files/ID/previews/: storyboards, waveforms, transcripts and finds, for those who may view the file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.in_server import finished_jobs
from tests.support.job_requests import ended, submit
from tests.support.running_servers import running
from tests.support.server import Server, Template
from tests.support.troubled_clips import clip


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as found:
        found.start_worker("bulk")
        yield found


@pytest.fixture(scope="module")
def film(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    content = clip("film.mp4", tmp_path_factory.mktemp("film")).read_bytes()
    return str(server.put("film.mp4", content, user="alice").json()["id"])


@pytest.fixture(scope="module")
def storyboard(server: Server, film: str) -> str:
    job = ended(server, submit(server, film, "storyboard", interval=1, width=64))
    assert [artifact["name"] for artifact in job["artifacts"]] == ["storyboard.vtt", "storyboard-001.jpg"]
    return str(job["id"])


def test_a_waveform_has_data_and_a_picture(server: Server, film: str) -> None:
    job = ended(server, submit(server, film, "waveform", pixels_per_second=10, bits=8))
    artifacts = {artifact["name"]: artifact["file"] for artifact in job["artifacts"]}
    assert sorted(artifacts) == ["waveform.dat", "waveform.json", "waveform.png"]
    answer = server.get(f"/api/v1/jobs/{job['id']}/artifacts/waveform.json", user="alice")
    assert answer.headers["Content-Type"] == "application/json"
    assert len(json.loads(answer.body)["data"]) == 2 * 20
    made = server.get(f"/api/v1/files/{artifacts['waveform.dat']}/", user="alice").json()
    assert (made["kind"], made["media_type"], made["facts"]) == ("", "application/octet-stream", None)


def test_whoever_may_view_the_file_gets_its_storyboard(server: Server, film: str, storyboard: str) -> None:
    base = f"/api/v1/files/{film}/previews/{storyboard}/"
    vtt = server.get(f"{base}storyboard.vtt", user="alice")
    assert vtt.headers["Content-Type"] == "text/vtt"
    assert b"\nstoryboard-001.jpg#xywh=64,0,64,36\n" in vtt.body
    sheet = server.get(f"{base}storyboard-001.jpg", user="alice")
    assert (sheet.headers["Content-Type"], sheet.body[:2]) == ("image/jpeg", b"\xff\xd8")
    again = server.get(f"{base}storyboard-001.jpg", {"If-None-Match": sheet.headers["ETag"]}, user="alice")
    assert again.status == 304
    assert server.get(f"{base}storyboard.vtt", user="bob").status == 404
    assert server.get(f"{base}storyboard.vtt").status == 401


def test_a_signed_link_leads_to_the_previews_of_its_file_alone(
    server: Server, film: str, storyboard: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = server.put(
        "b.mp4", clip("only-sound.mp4", tmp_path_factory.mktemp("b")).read_bytes(), user="alice"
    ).json()
    for file, status in ((film, 200), (other["id"], 404)):
        link = server.request("POST", f"/api/v1/files/{file}/link/", user="alice").json()["page_url"]
        answer = server.get(f"{link.removeprefix(server.url)}previews/{storyboard}/storyboard.vtt", user=None)
        assert answer.status == status
    page = server.get(
        server.request("POST", f"/api/v1/files/{film}/link/", user="alice")
        .json()["page_url"]
        .removeprefix(server.url)
    )
    assert f"previews/{storyboard}/storyboard.vtt".encode() in page.body


def test_other_artifacts_are_no_previews(server: Server, film: str, storyboard: str) -> None:
    job = ended(server, submit(server, film, "hls", heights="none"))
    for name in ("video.mp4", "storyboard.vtt", "%00"):
        assert server.get(f"/api/v1/files/{film}/previews/{job['id']}/{name}", user="alice").status == 404


@pytest.mark.parametrize(
    ("operation", "artifact"), [("transcribe", "transcript.json"), ("detect", "detections.json")]
)
def test_transcripts_and_finds_are_for_those_who_may_view_the_file_and_not_for_a_signed_link(
    server: Server, film: str, operation: str, artifact: str, tmp_path: Path
) -> None:
    (tmp_path / artifact).write_text('{"cues": []}')
    name = f"previews/{server.call(finished_jobs.finish_job, film, operation, str(tmp_path))}/{artifact}"
    assert server.get(f"/api/v1/files/{film}/{name}", user="alice").json() == {"cues": []}
    assert server.get(f"/api/v1/files/{film}/{name}", user="bob").status == 404
    link = server.request("POST", f"/api/v1/files/{film}/link/", user="alice").json()["page_url"]
    assert server.get(f"{link.removeprefix(server.url)}{name}", user=None).status == 404
