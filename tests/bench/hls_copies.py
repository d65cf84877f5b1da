"""How soon a Matroska film plays after its last byte, and how fast all of it is copied, beside cp and fsync.

The job makes the beginning, which plays, and copies all of the film in its second attempt.
"""

import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

from tests.support.browser_staff import signed_in
from tests.support.chromium import chromium
from tests.support.server import Template

from .client import BenchError
from .hls import NOTE_WHEN_IT_PLAYS, USER, played_since, upload
from .hls_films import make_minute, repeated
from .jobs import Figure
from .jobs_live import FFMPEG, JSON, Stage, Submitted, staged

_RATE, _MINUTES = "8M", 20
_PROMISED_START, _PROMISED_COPY = 3.0, 0.8
_SALT = 64


def measure(rounds: int, template: Template, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    film = _matroska(repeated(make_minute(scratch / "minute.mp4", _RATE), _MINUTES))
    waits, copies, cps = [], [], []
    with staged(template, scratch / "home", "quick", "bulk") as stage, chromium() as browser:
        if browser is None:
            raise BenchError("there is no Chromium here")
        with signed_in(browser, stage.server, USER) as page:
            page.add_init_script(NOTE_WHEN_IT_PLAYS)
            for _ in range(rounds + 1):  # the first one is not counted: nobody's browser has no cache
                _make_unlike(film)
                sent, pk = upload(stage.server, film)
                job = _submit(stage, pk)
                waits.append(_plays(stage, page, pk) - sent)
                page.goto("about:blank")
                stage.finished(job)
                copies.append(stage.between(job, "started_at", "finished_at"))
                cps.append(_copy(film))
                stage.server.request("DELETE", f"/api/v1/files/{pk}/", user=USER)
    wait, size = statistics.median(waits[1:]), film.stat().st_size
    yield Figure(
        "from the last byte of a Matroska film until it plays", f"{wait:.2f} s", f"≤ {_PROMISED_START} s",
        wait <= _PROMISED_START,
        f"{min(waits[1:]):.2f}–{max(waits[1:]):.2f} s; {_MINUTES} minutes, {size / 1e6:.0f} MB",
        {"seconds": wait},
    )  # fmt: skip
    mine, theirs = statistics.median(copies[1:]), statistics.median(cps[1:])
    yield Figure(
        "its whole copy, beside cp and fsync", f"{theirs / mine:.2f} ×", f"≥ {_PROMISED_COPY} ×",
        theirs / mine >= _PROMISED_COPY, f"{mine:.1f} and {theirs:.1f} s", {"ratio": theirs / mine},
    )  # fmt: skip


def _matroska(film: Path) -> Path:
    path = film.with_suffix(".mkv")
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-i", film, "-map", "0", "-c", "copy", path], check=True)
    film.unlink()
    with path.open("ab") as file:
        file.write(b"\xec\x40" + bytes([_SALT]) + bytes(_SALT))  # an element that players skip
    return path


def _make_unlike(film: Path) -> None:
    with film.open("r+b") as file:
        file.seek(-_SALT, os.SEEK_END)
        file.write(os.urandom(_SALT))


def _submit(stage: Stage, pk: str) -> Submitted:
    """Submit the job as the account that owns the film."""
    order = {"operation": "hls", "params": {"heights": "none"}, "file": pk}
    began = time.monotonic()
    answer = stage.server.request("POST", "/api/v1/jobs/", json.dumps(order).encode(), JSON, user=USER)
    if answer.status != 202:
        raise BenchError(f"a job was refused: {answer}")
    return Submitted(answer.json()["id"], time.monotonic() - began, began)


def _plays(stage: Stage, page: Page, pk: str) -> float:
    """Opens the film's page as soon as its first segments are listed, as the page itself would begin to play then."""
    deadline = time.monotonic() + 60
    while stage.server.get(f"/api/v1/files/{pk}/hls/master.m3u8", user=USER).status != 200:
        if time.monotonic() > deadline:
            raise BenchError(f"no segment was listed: {stage.server.log[-500:]}")
        time.sleep(0.02)
    page.goto(f"{stage.server.url}/admin/uploads/mediafile/{pk}/change/", wait_until="commit")
    since = played_since(page)
    if not page.evaluate("document.querySelector('#mr-player video').src.startsWith('blob:')"):
        raise BenchError("the film is not played by hls.js")
    return since


def _copy(film: Path) -> float:
    copy = film.with_name("copied")
    began = time.monotonic()
    shutil.copyfile(film, copy)
    with copy.open("rb+") as file:
        os.fsync(file.fileno())
    taken = time.monotonic() - began
    copy.unlink()
    return taken
