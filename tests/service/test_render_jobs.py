"""Renders through the API with a real worker: files named by their ids, children, and clips that are used again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.admin_client import signed_in
from tests.support.in_server import finished_jobs
from tests.support.job_requests import ended
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, query
from tests.support.troubled_clips import clip

KEYS = "SELECT key FROM media_jobs_scratchblob"
WORDS = b"1\n00:00:00,200 --> 00:00:00,600\nGr\xfc\xdfe\n"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, JOB_THREADS="1") as found:
        found.start_worker("heavy")
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def put(server: Server, name: str, content: bytes, user: str = "alice") -> str:
    return str(server.put(name, content, user=user).json()["id"])


@pytest.fixture(scope="module")
def files(server: Server, folder: Path) -> list[str]:
    names = ("red.mp4", "green.mkv", "yellow.png", "deep.wav")
    return [*(put(server, name, clip(name, folder).read_bytes()) for name in names), put(server, "words.srt", WORDS)]


def ask(server: Server, *clips: dict[str, Any], user: str = "alice", **more: Any) -> Answer:
    outside = {name: more.pop(name) for name in ("file", "inputs", "upload") if name in more}
    params = {"clips": clips, "quality": 30, **more}
    order = json.dumps({"operation": "render", "params": params, **outside}).encode()
    return server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}, user=user)


def test_a_render_names_its_files_once_and_uses_clips_again(server: Server, files: list[str]) -> None:
    red, green, yellow, deep, words = files
    clips = [{"file": green, "end": 0.5}, {"file": red, "end": 0.8}, {"file": yellow, "duration": 0.4}]
    more: dict[str, Any] = {"soundtrack": deep, "soundtrack_mode": "duck", "loudness": -20, "height": 90, "fps": 25}
    sent = ask(server, *clips, subtitles=words, **more).json()
    assert (sent["file"], sent["inputs"]) == (green, [red, yellow, deep, words])
    assert [each["file"] for each in sent["params"]["clips"]] == [0, 1, 2]
    assert (sent["params"]["soundtrack"], sent["params"]["subtitles"]) == (3, 4)
    job = ended(server, sent["id"])
    assert job["status"] == "succeeded", job
    assert [artifact["name"] for artifact in job["artifacts"]] == ["video.mp4"]
    states = [event["state"] for event in server.get(f"/api/v1/jobs/{job['id']}/events/", user="alice").json()]
    assert states == ["queued", "running", "queued", "running", "succeeded"]

    keys = set(query(server, KEYS))
    assert len(keys) == 6
    clips[1] = {"file": red, "start": 1, "end": 1.9}
    assert ended(server, ask(server, *clips, subtitles=words, **more).json()["id"])["status"] == "succeeded"
    assert keys < set(query(server, KEYS))
    assert len(set(query(server, KEYS)) - keys) == 2  # the picture and the sound of the one new clip
    assert len(server.get("/api/v1/files/?q=picture", user="alice").json()["results"]) == 0

    same = [{"file": 0, "end": 0.5}, {"file": 1, "start": 1, "end": 1.9}, {"file": 2, "duration": 0.4}]
    more |= {"soundtrack": 3, "subtitles": 4, "file": green, "inputs": [red, yellow, deep, words]}
    assert ask(server, *same, **more).json()["cached"] is True  # by numbers it is the same job


def test_a_transcript_is_offered_in_the_form_and_burnt_in(server: Server, files: list[str], tmp_path: Path) -> None:
    for name in ("transcript.json", "transcript.vtt"):
        (tmp_path / name).write_text("WEBVTT\n\n00:00:00.200 --> 00:00:00.600\nHello\n\n")
    done = server.call(finished_jobs.finish_job, files[0], "transcribe", str(tmp_path))
    made = server.get(f"/api/v1/jobs/{done}/", user="alice").json()["artifacts"]
    [transcript] = [each["file"] for each in made if each["name"] == "transcript.vtt"]
    form = signed_in(server, "operator").request("GET", f"/admin/uploads/mediafile/{files[0]}/run/?operation=render")
    assert f'<option value="{transcript}" data-kind="subtitle">Transcript of red.mp4</option>' in form.body.decode()
    job = ended(server, ask(server, {"file": files[0], "end": 0.4}, subtitles=transcript).json()["id"])
    assert (job["status"], job["inputs"]) == ("succeeded", [transcript])
    plain = ended(server, ask(server, {"file": files[0], "end": 0.4}).json()["id"])
    assert job["artifacts"][0]["file"] != plain["artifacts"][0]["file"]


@pytest.mark.parametrize(
    ("clips", "more", "words"),
    [
        (
            [{"file": "RED", "end": 1}, {"file": "DEEP", "end": 1}],
            {},
            "Clip 2: deep.wav is audio, not video or image.",
        ),
        ([{"file": "YELLOW"}], {}, "Clip 1 (yellow.png): an image needs a duration"),
        ([{"file": "RED"}], {"subtitles": "DEEP"}, "subtitles: deep.wav is audio, not subtitle."),
        ([{"file": 0}], {}, "Give either `file` or `upload`."),
        ([], {}, "clips must be a list of 1 to 50 objects."),
    ],
)
def test_a_render_that_cannot_work_is_refused_at_submit(
    server: Server, files: list[str], clips: list[dict[str, Any]], more: dict[str, Any], words: str
) -> None:
    ids = dict(zip(("RED", "GREEN", "YELLOW", "DEEP", "WORDS"), files, strict=True))
    named = [{name: ids.get(str(value), value) for name, value in each.items()} for each in clips]
    answer = ask(server, *named, **{name: ids.get(value, value) for name, value in more.items()})
    assert (answer.status, answer.json()["code"]) == (400, "invalid_params")
    assert words in json.dumps(answer.json(), ensure_ascii=False)


def test_a_file_of_another_account_cannot_be_named(server: Server, files: list[str]) -> None:
    own = put(server, "own.srt", WORDS, user="bob")
    for clips, more in (([{"file": files[0]}], {}), ([{"file": own}], {"soundtrack": files[3]})):
        answer = ask(server, *clips, user="bob", **more)
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
