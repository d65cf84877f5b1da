"""The files of test_hostile_files.py, uploaded to a real server: every operation on them by real workers.

Each is refused, or contained within 15 seconds and 1 GB.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.ffmpeg_clips import FILM, LEAP, PICTURE, TONE, make
from tests.support.films import different_copy
from tests.support.hostile_media import GB, LURES, ONE_GRAY, SECONDS, write_wav
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, query
from tests.support.spoken_texts import needs_speech
from tests.support.troubled_clips import clip
from tests.support.waiting import wait_until

OPERATIONS = ("inspect", "thumbnail", "transcode", "audio", "hls", "waveform", "storyboard")
FINISHED = {"succeeded", "failed", "cancelled"}
LEAPING = ("-vf", LEAP, "-af", f"a{LEAP}", "-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "ultrafast")
STREAMS = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.5", "-map", "0", *["-map", "1"] * 899)

FILES: dict[str, Callable[[Path], Path]] = {
    "huge.png": lambda path: make(path, "-f", "lavfi", "-i", "color=size=16000x8000", *ONE_GRAY),
    "huge.mov": lambda path: make(path, "-f", "lavfi", "-i", "color=size=16000x8000", *ONE_GRAY, "-c:v", "png"),
    "many.mkv": lambda path: make(path, *PICTURE, *STREAMS, "-c:v", "mpeg4", "-c:a", "pcm_u8"),
    "gap.mkv": lambda path: make(path, *PICTURE, *TONE, *LEAPING),
    "gap-without-length.mkv": lambda path: make(path, *PICTURE, *TONE, *LEAPING, "-live", "1"),
    "gap.mp4": lambda path: make(path, *PICTURE, *TONE, *LEAPING),
    "gap.mka": lambda path: make(path, *TONE, "-af", f"a{LEAP}", "-c:a", "flac"),
    "torn.mkv": lambda path: clip(path.name, path.parent),
    "lying-index.mp4": lambda path: clip(path.name, path.parent),
    "ten-thousand-channels.wav": lambda path: write_wav(path, bytes(4_000_000), rate=8000, channels=10_000),
    "one-hertz.wav": lambda path: write_wav(path, bytes(200_000), rate=1),
    "two-megahertz.wav": lambda path: write_wav(path, bytes(4_000_000), rate=2_000_000),
    "cut-off.wav": lambda path: write_wav(path, bytes(64_000), rate=16_000, claimed=2**32 - 100),
    "cut-off.flac": lambda path: cut(make(path, *TONE, "-c:a", "flac")),
}  # fmt: skip


def cut(path: Path) -> Path:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    return path


Say = tuple[str, str]  # the stable code of what went wrong, and some of its words
FINE = ("", "")
TOO_LARGE, TOO_MANY = ("unfit_media", "larger than allowed"), ("bad_media", "more than 32 streams")
TOO_LONG, LEAPS = ("invalid_params", "may last 24 hours"), ("bad_media", "timestamps jump")
RATES: list[dict[str, Any]] = [{}, {"fps": 1}, {"fps": 240}]
SEEN: dict[str, Any] = {"detectors": ["scenes", "black", "freeze"]}
SEEN_AND_HEARD: dict[str, Any] = {"detectors": [*SEEN["detectors"], "silence"]}
# What several workers share.
SHARED: list[tuple[str, dict[str, Any]]] = [("transcode", {"height": 48}), ("hls", {"heights": [48]})]
CASES: list[tuple[str, str, dict[str, Any], Say]] = [
    *(("huge.png", operation, {}, TOO_LARGE) for operation in ("inspect", "thumbnail")),
    *(("huge.mov", operation, {}, TOO_LARGE) for operation in ("inspect", "thumbnail", "transcode", "hls")),
    *(("many.mkv", operation, {}, TOO_MANY) for operation in OPERATIONS),
    *((name, "inspect", {}, FINE) for name in FILES if name.startswith("gap")),
    *(("gap.mkv", "thumbnail", {"at": at}, FINE) for at in ("best", "50%", "100%")),
    *((name, "transcode", rate, TOO_LONG) for name in ("gap.mkv", "gap.mp4") for rate in RATES),
    *((name, "hls", {"heights": [48]}, TOO_LONG) for name in ("gap.mkv", "gap.mp4")),
    ("gap-without-length.mkv", "hls", {"heights": [48]}, LEAPS),
    *(("gap-without-length.mkv", operation, {}, FINE) for operation in ("waveform", "storyboard")),
    ("gap.mkv", "storyboard", {}, TOO_LONG),
    *((name, operation, params, FINE) for name in ("torn.mkv", "lying-index.mp4") for operation, params in SHARED),
    *(("gap.mkv", "transcode", {"end": 80_000, **rate}, LEAPS) for rate in RATES),
    *(("gap-without-length.mkv", "transcode", rate, LEAPS) for rate in RATES),
    ("gap.mp4", "transcode", {"end": 80_000, "fps": 240}, ("unfit_media", "repeated more than 648,000 times")),
    ("huge.mov", "detect", SEEN, TOO_LARGE),
    ("many.mkv", "detect", SEEN_AND_HEARD, TOO_MANY),
    *((name, "detect", SEEN_AND_HEARD, TOO_LONG) for name in ("gap.mkv", "gap.mp4")),
    *(("gap-without-length.mkv", "detect", detectors, FINE) for detectors in (SEEN, SEEN_AND_HEARD)),
    *((name, "detect", SEEN, FINE) for name in ("torn.mkv", "lying-index.mp4")),
    *((name, "audio", {"normalize": normal}, LEAPS) for name in ("gap.mkv", "gap.mka") for normal in (False, True)),
]


class Stage:
    """A server with a worker of each lane. Files are uploaded when they are needed."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server, self._folder, self._files = server, folder, dict[str, str]()
        self._workers = [server.start_worker(lane).pid for lane in ("quick", "bulk", "heavy", "heavy")]
        wait_until(lambda: len(query(server, "SELECT 1 FROM media_jobs_worker")) == 4, 60)
        self._peak, self._over = 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self, lane: str) -> None:
        self._workers.append(self._server.start_worker(lane).pid)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._peak = max(self._peak, *map(_resident, self._workers))

    def close(self) -> None:
        self._over.set()

    @contextmanager
    def contained(self) -> Iterator[None]:
        """Check that the block stays within the time limit, and each worker and its children in the memory limit."""
        self._peak, started = 0, time.monotonic()
        yield
        assert time.monotonic() - started < SECONDS
        assert self._peak < GB

    def put(self, name: str, content: bytes) -> Answer:
        return self._server.put(quote(name, safe=""), content)

    def path(self, name: str) -> Path:
        path = self._folder / name
        return path if path.exists() else FILES[name](path)

    def file(self, path: Path) -> str:
        """Upload a file once, and wait until it is inspected: with its facts, jobs are refused at submit."""
        if path.name not in self._files:
            answer = self.put(path.name, path.read_bytes())
            assert answer.status == 201, answer
            file = self._files[path.name] = answer.json()["id"]
            [inspect] = self._server.get(f"/api/v1/jobs/?file={file}", user="alice").json()["results"]
            self._server.get(f"/api/v1/jobs/{inspect['id']}/?wait=30", user="alice")
        return self._files[path.name]

    def outcome(self, file: str, operation: str, **params: Any) -> Say:
        """The error code and text of a job, from submit or later; FINE if it succeeded."""
        order = json.dumps({"operation": operation, "file": file, "params": params}).encode()
        answer = self._server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"})
        if answer.status != 202:
            return answer.code, answer.json()["detail"]
        found = self._server.get(f"/api/v1/jobs/{answer.json()['id']}/?wait=30", user="alice").json()
        assert found["status"] in FINISHED, found
        error = found["error"] or {"code": "", "detail": ""}
        return error["code"], error["detail"]


def _resident(pid: int) -> int:
    """The resident memory of a process and its descendants."""
    held = 0
    with suppress(OSError):  # it is gone
        held = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        for task in Path(f"/proc/{pid}/task").iterdir():
            held += sum(_resident(int(child)) for child in (task / "children").read_text().split())
    return held


@pytest.fixture(scope="module")
def stage(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(template, tmp_path_factory, SPLIT_AFTER="1s", WHISPER_MODEL="tiny.en") as server:
        made = Stage(server, tmp_path_factory.mktemp("hostile"))
        yield made
        made.close()


@pytest.mark.parametrize(("name", "operation", "params", "said"), CASES)
def test_every_operation_refuses_or_contains_a_hostile_file(
    name: str, operation: str, params: dict[str, Any], said: Say, stage: Stage
) -> None:
    path = stage.path(name)
    with stage.contained():
        code, detail = stage.outcome(stage.file(path), operation, **params)
    assert code == said[0], detail
    assert said[1] in detail


@pytest.fixture(scope="module")
def stage_with_speech(stage: Stage) -> Stage:
    stage.start("inference")
    return stage


@needs_speech
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ten-thousand-channels.wav", ("bad_media", "No sound can be read")),
        ("one-hertz.wav", ("invalid_params", "The rate of its sound is 1 Hz.")),
        ("two-megahertz.wav", FINE),
        ("cut-off.wav", FINE),
        ("cut-off.flac", FINE),
        ("many.mkv", TOO_MANY),
        ("gap.mkv", FINE),  # a day without sound
        ("gap-without-length.mkv", FINE),
    ],
)
def test_transcribe_refuses_or_contains_it_too(name: str, said: Say, stage_with_speech: Stage) -> None:
    path = stage_with_speech.path(name)
    with stage_with_speech.contained():
        code, detail = stage_with_speech.outcome(stage_with_speech.file(path), "transcribe")
    assert code == said[0], detail
    assert said[1] in detail


@pytest.mark.parametrize("lure", LURES)
def test_a_file_that_refers_to_another_is_refused_at_upload(lure: str, stage: Stage) -> None:
    with stage.contained():
        answer = stage.put("film.mp4", LURES[lure]("/etc/passwd").encode())
    assert (answer.status, answer.code) == (415, "unsupported_media")


@pytest.mark.parametrize(
    ("name", "operation"),
    [("concat:a|b", "inspect"), ("i%d.jpg", "thumbnail"), ("-x", "transcode"), ("':textfile=a.srt:x='", "audio")],
)
def test_no_operation_interprets_a_file_name(name: str, operation: str, stage: Stage, tmp_path: Path) -> None:
    film = different_copy(make(tmp_path / "film.mp4", *FILM).read_bytes())
    with stage.contained():
        assert stage.outcome(stage.put(name, film).json()["id"], operation) == FINE
