"""Detect as jobs of a real server: shared by workers, of which one is killed; its message, cache and refusals."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from media_jobs.detection.detector import Detector
from media_jobs.detection.registry import DETECTORS
from media_jobs.errors import ExtraMissing
from media_jobs.operations import get, parse
from media_jobs.queue import extras
from tests.support.job_orders import ended, job, keep, order, submitted
from tests.support.processes import stopped_at_work
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.troubled_clips import X264, ffmpeg
from tests.support.waiting import wait_until

LOOPS = 30
SECONDS = 8 * LOOPS  # of the film: 2 s black, 6 s of a picture that moves, again and again, each with 1 s of silence
CHOSEN = {"detectors": ["black", "silence", "motion"], "max_fps": 10}
CHILDREN = "SELECT CAST(id AS varchar(36)), status, attempts FROM media_jobs_job WHERE parent_id IS NOT NULL"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, SPLIT_AFTER="60s", JOB_THREADS="1", LEASE="5s") as found:
        yield found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("film")
    once, path = folder / "once.mkv", folder / "film.mkv"
    picture = "color=black:s=320x180:r=25:d=2[b];testsrc2=s=320x180:r=25:d=6[t];[b][t]concat"
    sound = "sine=440:d=7,apad=whole_dur=8"
    sources = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    ffmpeg(*sources, *X264.split(), "-g", "100", "-c:a", "flac", "-t", "8", str(once))
    ffmpeg("-stream_loop", str(LOOPS - 1), "-i", str(once), "-c", "copy", str(path))
    return Path(path).read_bytes()


def children(server: Server) -> dict[str, tuple[str, int]]:
    return {child: (status, attempt) for child, status, attempt in query(server, CHILDREN)}


def is_begun(server: Server) -> bool:
    """A span is done, and others are not."""
    states = {status for status, _ in children(server).values()}
    return "succeeded" in states and len(states) > 1


def found_in(server: Server, done: Any) -> dict[str, list[dict[str, Any]]]:
    answer = server.get(f"/api/v1/jobs/{done['id']}/artifacts/detections.json", user="alice")
    finds = json.loads(answer.body)["finds"]
    return {name: [each for each in finds if each["detector"] == name] for name in CHOSEN["detectors"]}  # type: ignore[attr-defined]


def test_a_killed_worker_costs_one_span_and_what_is_found_is_whole(server: Server, film: bytes) -> None:
    file = keep(server, film, "film.mkv")
    worker = server.start_worker("heavy")
    made = submitted(server, operation="detect", file=file, params=CHOSEN)
    with stopped_at_work(server.home / "work", lambda: is_begun(server)):
        message = job(server, made["id"])["message"]
        counts = r"\(\d+ movements?, \d+ black stretch(es)?, \d+ silences?, \d+ detections?\)"
        assert re.fullmatch(rf"Processed \d+/{25 * SECONDS} frames {counts}", message), message
        os.killpg(worker.pid, signal.SIGKILL)
    server.start_worker("heavy")
    attempts: dict[str, int] = {}

    def is_over() -> bool:
        attempts.update({child: number for child, (_, number) in children(server).items()})
        return job(server, made["id"])["status"] in {"succeeded", "failed"}

    wait_until(is_over, 180)
    result = job(server, made["id"])
    assert (result["status"], result["attempt"]) == ("succeeded", 1), result
    assert sum(attempts.values()) <= len(attempts) + 1
    assert children(server) == {}
    found = found_in(server, result)
    for name, start, end in (("black", 0, 2), ("silence", 7, 8)):
        spans = [(each["start"], each["end"]) for each in found[name]]
        wanted = [(8.0 * number + start, 8.0 * number + end) for number in range(LOOPS)]
        assert spans == [pytest.approx(each, abs=0.1) for each in wanted]
    assert {int(each["start"] // 8) for each in found["motion"]} == set(range(LOOPS))
    assert not [each for each in found["motion"] if each["start"] % 8 < 1.9]

    again = ended(server, submitted(server, operation="detect", file=file, params=CHOSEN))
    assert (again["status"], again["cached"]) == ("succeeded", True)
    names = {artifact["name"] for artifact in result["artifacts"]}
    assert names >= {"detections.json", "detections.vtt", "detections.csv", "crops-001.jpg"}
    sheet = server.get(f"/api/v1/jobs/{result['id']}/artifacts/crops-001.jpg", user="alice")
    assert (sheet.status, sheet.body[:2]) == (200, b"\xff\xd8")


def test_a_cancelled_one_leaves_nothing(server: Server, film: bytes) -> None:
    file = keep(server, film + b"\0", "other.mkv")
    server.start_worker("heavy")
    made = submitted(server, operation="detect", file=file, params=CHOSEN)
    with stopped_at_work(server.home / "work", lambda: children(server)):
        assert server.request("POST", f"/api/v1/jobs/{made['id']}/cancel/", user="alice").status in {200, 202}
    wait_until(lambda: job(server, made["id"])["status"] == "cancelled")
    wait_until(lambda: not children(server), 30)
    assert query(server, "SELECT 1 FROM media_jobs_scratchblob") == []


def test_wrong_requests_are_refused_with_the_reason(server: Server, film: bytes) -> None:
    file = keep(server, film, "film.mkv")
    for params, words in (
        ({}, "detectors must be some of"),
        ({"detectors": ["ghosts"]}, "detectors has no “ghosts”. Choose from: "),
        ({"detectors": ["scenes"], "region": "left"}, "region must be four numbers"),
    ):
        refused = order(server, operation="detect", file=file, params=params)
        assert (refused.status, refused.code) == (400, "invalid_params")
        assert words in refused.json()["detail"]


@pytest.mark.django_db
def test_a_detector_whose_extra_is_missing_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", list)
    detect = get("detect")
    extras.require_extras(detect, parse(detect, {"detectors": ["scenes", "motion"]}))
    for name in with_extras():
        with pytest.raises(ExtraMissing, match='make run EXTRAS="vision"'):
            extras.require_extras(detect, parse(detect, {"detectors": ["scenes", name]}))


def with_extras() -> list[str]:
    every: list[Detector] = list(DETECTORS.values())
    return [detector.name for detector in every if detector.extra]
