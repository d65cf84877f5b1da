"""How fast segments go out, which are virtual files, beside ranges of the real file; and what a viewer costs."""

import contextlib
import http.client
import re
import socket
import statistics
import time
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path

from tests.support.server import Server, Template

from .client import BenchError, Request, connect
from .hls_films import make_minute, repeated
from .jobs import Figure
from .machine import PeakMemory, pinned
from .servers import Running, millrace

_RATE, _MINUTES = "25M", 4  # segments of 12 MB: of small ones the request costs more than its bytes
_VIEWERS = 100
_PROMISED_SPEED, _PROMISED_MB = 0.7, 1.0
_USER = "alice"
_SMALL = 64 * 1024


def measure(rounds: int, template: Template, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    film = repeated(make_minute(scratch / "minute.mp4", _RATE), _MINUTES)
    with millrace(template, scratch / "home") as host:
        assert host.server is not None
        pk = host.server.put("film.mp4", film.read_bytes()).json()["id"]
        base = f"/api/v1/files/{pk}"
        segments = _segments(host.server, base)
        yield _speed(rounds, host.server, base, segments)
        yield _memory(host, base, list(segments))


def _segments(server: Server, base: str) -> dict[str, int]:
    """The segments of the picture, and their sizes."""
    lines = server.get(f"{base}/hls/video.m3u8", user=_USER).body.decode().splitlines()
    paths = [f"{base}/hls/{line}" for line in lines if re.fullmatch(r"video/\d+\.m4s", line)]
    return {path: int(server.request("HEAD", path).headers["Content-Length"]) for path in paths}


def _speed(rounds: int, server: Server, base: str, segments: dict[str, int]) -> Figure:
    """The same number of requests and bytes in turns."""
    virtual: list[tuple[str, dict[str, str]]] = [(path, {}) for path in segments]
    starts = accumulate(segments.values(), initial=0)
    real = [(f"{base}/content", {"Range": f"bytes={start}-{stop - 1}"}) for start, stop in pairwise(starts)]
    taken: dict[str, list[float]] = {"virtual": [], "real": []}
    for requests in (virtual, real):  # into the page cache
        _fetch(server, requests)
    for number in range(2 * rounds):
        for name, requests in (("virtual", virtual), ("real", real))[:: 1 if number % 2 else -1]:
            with pinned():
                taken[name].append(_fetch(server, requests))
    total = sum(segments.values())
    rates = {name: total / statistics.median(seconds) for name, seconds in taken.items()}
    ratio = rates["virtual"] / rates["real"]
    return Figure(
        "segments, beside ranges of the real file", f"{ratio:.2f} ×", f"≥ {_PROMISED_SPEED} ×",
        ratio >= _PROMISED_SPEED,
        f"{rates['virtual'] / 1e6:.0f} and {rates['real'] / 1e6:.0f} MB/s, {total / len(segments) / 1e6:.1f} MB each",
        {"ratio": ratio},
    )  # fmt: skip


def _fetch(server: Server, requests: list[tuple[str, dict[str, str]]]) -> float:
    """Seconds for all of them, on one connection, as a player has."""
    buffer = memoryview(bytearray(1024**2))
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    with contextlib.closing(connection):
        began = time.perf_counter()
        for path, headers in requests:
            connection.request("GET", path, headers={**_credentials(server), **headers})
            answer = connection.getresponse()
            if answer.status not in {200, 206}:
                raise BenchError(f"{path}: {answer.status}")
            while answer.readinto(buffer):
                pass
        return time.perf_counter() - began


def _credentials(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.tokens[_USER]}"}


def _memory(host: Running, base: str, segments: list[str]) -> Figure:
    """What the server holds for viewers who take their segments slowly, and are all in the middle of one."""
    assert host.server is not None
    with contextlib.ExitStack() as stack:
        watched = stack.enter_context(PeakMemory(host.pids))
        for number in range(_VIEWERS):
            wire = stack.enter_context(connect(host.port))
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            request = Request("GET", segments[number % len(segments)], _credentials(host.server))
            wire.sendall(request.head(0))
            if b" 200 " not in wire.recv(_SMALL):
                raise BenchError("a viewer got no segment")
        time.sleep(1)
    each = (watched.peak - watched.before) / _VIEWERS / 1e6
    return Figure(
        "memory of each viewer", f"{each:.2f} MB", f"≤ {_PROMISED_MB:g} MB", each <= _PROMISED_MB,
        f"{_VIEWERS} at once, each in the middle of a segment", {"megabytes": each},
    )  # fmt: skip
