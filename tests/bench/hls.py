"""From the last byte of an upload until its film plays in Chromium, and from a seek until it plays there."""

import json
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.support.browser_staff import signed_in
from tests.support.chromium import chromium
from tests.support.server import Server, Template

from .client import BenchError, Request, answer_of, connect
from .hls_films import make_minute, make_unlike, repeated
from .jobs import Figure
from .servers import millrace

_RATE = "2M"  # bits per second: two hours are 1.8 GB
_LENGTHS = {"1 minute": 1, "20 minutes": 20, "2 hours": 120}
_SEEKS = 10
_PROMISED_START, _PROMISED_SEEK = 1.5, 1.0  # seconds
USER = "operator"
# When the picture first moved, on the clock that Python has, too.
NOTE_WHEN_IT_PLAYS = """
document.addEventListener("timeupdate", ({ target }) => {
  if (target.currentTime > 0) window.playsSince ??= Date.now() / 1000;
}, true);
document.addEventListener("loadedmetadata", ({ target }) => {
  target.muted = true;
  target.play();
}, true);
"""
_SEEK = """(target) => new Promise((done) => {
  const video = document.querySelector("#mr-player video"), since = performance.now();
  video.currentTime = target;
  const look = () => {
    if (video.seeking || video.readyState < 3 || video.currentTime <= target) return requestAnimationFrame(look);
    done((performance.now() - since) / 1000);
  };
  look();
})"""


def measure(rounds: int, template: Template, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    minute = make_minute(scratch / "minute.mp4", _RATE)
    with millrace(template, scratch / "home") as host, chromium() as browser:
        assert host.server is not None
        if browser is None:
            raise BenchError("there is no Chromium here")
        host.server.start_worker("quick")  # it inspects each film meanwhile
        for words, minutes in _LENGTHS.items():
            film = repeated(minute, minutes)
            yield from _plays(words, 60.0 * minutes, film, rounds, host.server, browser)
            film.unlink()


def _plays(
    words: str, length: float, film: Path, rounds: int, server: Server, browser: Browser
) -> Iterator[Figure]:  # fmt: skip
    waits, seeks = [], []
    places = random.Random(words)
    with signed_in(browser, server, USER) as page:
        page.add_init_script(NOTE_WHEN_IT_PLAYS)
        for number in range(rounds + 1):  # the first one is not counted: nobody's browser has no cache
            make_unlike(film)
            sent, pk = upload(server, film)
            page.goto(f"{server.url}/admin/uploads/mediafile/{pk}/change/", wait_until="commit")
            waits.append(played_since(page) - sent)
            if not page.evaluate("document.querySelector('#mr-player video').src.startsWith('blob:')"):
                raise BenchError("the film is not played by hls.js")
            if number:
                seeks += [page.evaluate(_SEEK, places.uniform(0, length - 5)) for _ in range(_SEEKS)]
            page.goto("about:blank")
            server.request("DELETE", f"/api/v1/files/{pk}/", user=USER)
    wait = statistics.median(waits[1:])
    yield Figure(
        f"from the last byte of {words} until it plays", f"{wait:.2f} s", f"≤ {_PROMISED_START} s",
        wait <= _PROMISED_START, f"{min(waits[1:]):.2f}–{max(waits[1:]):.2f} s; {film.stat().st_size / 1e6:.0f} MB",
        {"seconds": wait},
    )  # fmt: skip
    seek = statistics.median(seeks)
    yield Figure(
        f"from a seek in {words} until it plays", f"{seek:.2f} s", f"≤ {_PROMISED_SEEK} s",
        seek <= _PROMISED_SEEK, f"{len(seeks)} seeks, {min(seeks):.2f}–{max(seeks):.2f} s", {"seconds": seek},
    )  # fmt: skip


def upload(server: Server, film: Path) -> tuple[float, str]:
    """When its last byte was sent, and the id of the file."""
    request = Request("PUT", f"/api/v1/upload/{film.name}", {"Authorization": f"Bearer {server.tokens[USER]}"})
    with connect(server.port) as wire, film.open("rb") as content:
        wire.sendall(request.head(film.stat().st_size))
        wire.sendfile(content)
        sent = time.time()
        return sent, str(json.loads(answer_of(wire, request).body)["id"])


def played_since(page: Page) -> float:
    for _ in range(2000):
        if found := page.evaluate("window.playsSince"):
            return float(found)
        time.sleep(0.02)
    raise BenchError("the film did not play")
