"""Uploads into an S3 bucket: the Writer beside boto3's s3transfer, and the memory of a web server that streams there.

The store is a SeaweedFS on this machine, so that both share its cores with the store itself.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.support.object_store import ObjectStore
from tests.support.server import Template

from .client import BenchError, Request, send
from .contenders import CONTENDERS, Contender
from .jobs import Figure
from .machine import PeakMemory
from .payload import Payload, Source
from .servers import Running, millrace

_IN_SERVER = "tests.bench.s3_in_server"
_WAYS = ("send_by_writer", "send_by_s3transfer")
_MB = 1024**2
_PART = 8 * _MB
_AT_ONCE, _SIZE_AT_ONCE = 50, 20 * _MB  # two parts and a half each
_OVER_PART, _OVER_EACH_PART = 8e6, 1e6


@contextmanager
def a_store(folder: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(folder)
    store.start()
    try:
        yield store
    finally:
        store.kill()


def measure(rounds: int, size: int, big: int, source: Source, template: Template, scratch: Path) -> Iterator[Figure]:
    with a_store(scratch / "seaweedfs") as store:
        with millrace(template, scratch / "s3-speed", store) as host:
            yield from _beside_s3transfer(host, rounds, size, source)
        with millrace(template, scratch / "s3-memory", store) as host:
            yield _one_upload(host, big, source)
        with millrace(template, scratch / "s3-crowd", store, MAX_UPLOADS_PER_USER="100") as host:
            yield _at_once(host, source)


def _beside_s3transfer(host: Running, rounds: int, size: int, source: Source) -> Iterator[Figure]:
    assert host.server is not None
    film = host.folder / "film"
    with film.open("wb") as file:
        file.write(source.view[:size])
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    for turn in range(rounds):
        for way in _WAYS if turn % 2 else reversed(_WAYS):
            taken[way].append(host.server.call_by_name(_IN_SERVER, way, str(film)))
    film.unlink()
    ours, theirs = (
        {name: statistics.median(one[name] for one in taken[way]) for name in ("seconds", "cpu")} for way in _WAYS
    )
    rate, cpu = theirs["seconds"] / ours["seconds"], ours["cpu"] / theirs["cpu"]
    beside = f"{size / ours['seconds'] / 1e6:.0f} and {size / theirs['seconds'] / 1e6:.0f} MB/s"
    yield Figure(
        "speed of the Writer, beside s3transfer", f"{rate:.2f} ×", "0.85 ×", rate >= 0.85, beside, {"ratio": rate}
    )
    beside = f"{ours['cpu']:.2f} and {theirs['cpu']:.2f} s for {size / _MB:.0f} MiB"
    yield Figure(
        "processor time of the Writer, beside s3transfer", f"{cpu:.2f} ×", "0.8 ×", cpu <= 0.8, beside, {"ratio": cpu}
    )


def _one_upload(host: Running, size: int, source: Source) -> Figure:
    peak = _memory(host, lambda: _upload(host, Payload(source, size)))
    allowed = _PART + _OVER_PART
    return Figure(
        f"memory over idle, PUT of {size / 1024**3:.2g} GiB", f"{peak / 1e6:.1f} MB", f"{allowed / 1e6:.1f} MB",
        peak <= allowed, "a part and 8 MB", {"bytes": peak},
    )  # fmt: skip


def _at_once(host: Running, source: Source) -> Figure:
    payloads = [Payload(source, _SIZE_AT_ONCE) for _ in range(_AT_ONCE)]

    def all_at_once() -> None:
        with ThreadPoolExecutor(_AT_ONCE) as clients:
            for done in [clients.submit(_upload, host, payload) for payload in payloads]:
                done.result()

    peak = _memory(host, all_at_once)
    allowed = _AT_ONCE * (_PART + _OVER_EACH_PART)
    return Figure(
        f"memory over idle, {_AT_ONCE} PUTs at once", f"{peak / _AT_ONCE / 1e6:.2f} MB each",
        f"{allowed / _AT_ONCE / 1e6:.2f} MB each", peak <= allowed, "a part and 1 MB each", {"bytes": peak},
    )  # fmt: skip


def _memory(host: Running, work: Callable[[], None]) -> int:
    """The most memory that the server has over what it had idle, once it has been asked whether it is ready."""
    send(host.port, Request("GET", "/readyz"))  # it loads the client of the store, 27 MB
    time.sleep(1)
    with PeakMemory(host.pids) as memory:
        work()
    return memory.peak - memory.before


def _upload(host: Running, payload: Payload) -> None:
    if _raw_put().upload(host, payload) != payload.sha256:
        raise BenchError("the digest is wrong")


def _raw_put() -> Contender:
    return next(found for found in CONTENDERS if found.key == "ours-raw")
