"""Memory: of a fresh server over one large upload, and of a crowd of slow ones, with what a ping then takes."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.support.server import ROOT, Template

from .client import BenchError, ping
from .contenders import CONTENDERS
from .crowd import AT_ONCE, Orders, Result
from .machine import PeakMemory, allow_open_files, pinned
from .payload import Payload, Source
from .servers import Running, millrace, tail

UPLOAD_SIZE = AT_ONCE + 512 * 1024  # enough to trickle for two minutes
LIMIT = 300.0
PINGS = 200
PING_EVERY = 0.05


@dataclass(frozen=True)
class OneUpload:
    key: str
    size: int
    idle: int
    peak: int
    again: int  # the peak over the same idle server, of a second upload to it

    @property
    def over_idle(self) -> int:
        return self.peak - self.idle


def one_upload(key: str, size: int, source: Source, template: Template, scratch: Path) -> OneUpload:
    contender = next(found for found in CONTENDERS if found.key == key)
    peaks = []
    with millrace(template, scratch / f"memory-{key}") as host:
        time.sleep(1)
        idle = PeakMemory(host.pids).before
        for _ in range(2):
            payload = Payload(source, size)
            expected = payload.sha256
            with PeakMemory(host.pids) as memory, pinned():
                if contender.upload(host, payload) != expected:
                    raise BenchError(f"{key}: the digest is wrong")
            peaks.append(memory.peak)
    return OneUpload(key, size, idle, peaks[0], peaks[1])


@dataclass
class CrowdReport:
    database: str
    clients: int
    at_once: bool = False  # all sent their burst at the same time, or took turns
    succeeded: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    burst_half: float = 0.0  # seconds until half of them had sent their 4 MB, and until all had
    burst_seconds: float = 0.0
    idle: int = 0
    peak: int = 0
    trickling: int = 0  # the most while all trickle
    ping_idle: float | None = None  # the 95th percentile, in seconds; None where hardly any was sent
    ping_burst: float | None = None
    ping_trickling: float | None = None
    failure: str = ""

    @property
    def title(self) -> str:
        return f"{self.clients} clients{' at once' if self.at_once else ''}, {self.database}"

    @property
    def per_client(self) -> float:
        return (self.peak - self.idle) / self.clients


def crowd(
    clients: int, hold: float, source: Source, template: Template, scratch: Path, *, at_once: bool = False
) -> CrowdReport:
    found = CrowdReport("PostgreSQL" if template.database_url else "SQLite", clients, at_once)
    if not allow_open_files(4 * clients + 256):
        found.failure = f"{clients} clients need a higher limit of open files (ulimit -n)"
        return found
    # One thread for each, and some for those who only ask how we are.
    settings = {"THREADS": str(clients + 200), "MAX_UPLOADS_PER_USER": "10000"}
    try:
        with millrace(template, scratch / f"crowd-{clients}", None, **settings) as host:
            _measure(found, host, hold, source)
    except BenchError as error:
        found.failure = str(error)
    return found


def _measure(found: CrowdReport, host: Running, hold: float, source: Source) -> None:
    idle_pings = Pings(host.port)
    for _ in range(PINGS):
        idle_pings.once()
    found.ping_idle = idle_pings.p95(0, float("inf"))
    assert host.server is not None
    token = host.server.tokens["alice"]
    orders = Orders(host.port, found.clients, hold, LIMIT, str(source.path), UPLOAD_SIZE, token, found.at_once)
    pings = Pings(host.port)
    with PeakMemory(host.pids) as memory, pings:
        found.idle = memory.before
        result = _run(orders)
    host.check()
    found.peak, found.trickling = memory.peak, memory.most_between(result.trickling, result.ending)
    found.succeeded, found.wrong = result.right, result.wrong
    found.burst_half = result.half - result.connected
    found.burst_seconds = result.trickling - result.connected
    found.ping_burst = pings.p95(result.connected, result.trickling)
    found.ping_trickling = pings.p95(result.trickling, result.ending)
    if pings.errors:
        found.failure = f"{len(pings.errors)} pings failed: {pings.errors[0]}"
    if result.right != found.clients:
        found.failure = f"{found.clients - result.right} uploads failed: {result.wrong}; {tail(host.log, 500)}"


def _run(orders: Orders) -> Result:
    command = [sys.executable, "-m", "tests.bench.crowd", json.dumps(asdict(orders))]
    try:
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, timeout=orders.limit + 60)
    except subprocess.TimeoutExpired as error:
        raise BenchError("the crowd did not end in time") from error
    if done.returncode:
        raise BenchError(f"the crowd failed: {done.stderr.decode()[-1000:]}")
    return Result(**json.loads(done.stdout))


class Pings:
    """Asks /healthz again and again, and remembers when and how long."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self.taken: list[tuple[float, float]] = []
        self.errors: list[str] = []

    def once(self) -> None:
        now = time.monotonic()
        try:
            self.taken.append((now, ping(self._port)))
        except (BenchError, OSError) as error:
            self.errors.append(str(error))

    def _go(self) -> None:
        while not self._over.wait(PING_EVERY):
            self.once()

    def p95(self, since: float, until: float) -> float | None:
        taken = [seconds for when, seconds in self.taken if since <= when < until]
        return statistics.quantiles(taken, n=20)[-1] if len(taken) > 1 else None

    def __enter__(self) -> "Pings":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def describe(report: CrowdReport) -> str:
    if report.failure:
        return f"FAILED: {report.failure}"
    return (
        f"{report.succeeded} right, {report.per_client / 1000:.0f} KB each, ping p95 in ms: idle"
        f" {in_ms(report.ping_idle)}, burst {in_ms(report.ping_burst)}, trickling {in_ms(report.ping_trickling)}"
    )


def in_ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f}"
