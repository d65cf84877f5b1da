"""A transcode with a target: its API shows what was measured, and later jobs on the content use its probes."""

from pathlib import Path
from typing import Any

from tests.support.job_requests import ended, submit
from tests.support.running_servers import StartServer
from tests.support.server import Server, query
from tests.support.troubled_clips import clip

NOTES = "SELECT key FROM media_jobs_contentnote"


def test_what_was_measured_is_shown_and_kept(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    server.start_worker("heavy")
    film = clip("one-frame.mp4", tmp_path).read_bytes()
    file = server.put("film.mp4", film, user="alice").json()["id"]

    first = transcoded(server, file)
    measured = first["measured"]
    assert abs(measured["vmaf"] - 90) <= 1
    assert (measured["target"], measured["encodes"], measured["limit"]) == (90, 1, "")
    assert first["message"] == f"VMAF {measured['vmaf']:.1f} at CRF {measured['crf']:g}."
    assert (first["command"].count("libvmaf"), len(query(server, NOTES))) == (probes(first) + 1, 1)

    with_known_probes = transcoded(server, file, audio="none")
    assert (probes(with_known_probes), with_known_probes["measured"]) == (0, measured)
    same = transcoded(server, file)
    assert (same["cached"], same["measured"], same["message"]) == (True, measured, first["message"])

    assert server.request("DELETE", f"/api/v1/files/{file}/", user="alice").status == 204
    assert query(server, NOTES) == []


def transcoded(server: Server, file: str, **params: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"quality": "vmaf:90", "height": 64} | params
    job = ended(server, submit(server, file, **wanted))
    assert job["status"] == "succeeded", job
    return job


def probes(job: dict[str, Any]) -> int:
    """A probe encodes and compares in one command."""
    return sum("libvmaf" in line and "libx264" in line for line in job["command"].splitlines())
