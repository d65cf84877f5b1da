"""How fast one upload is: everybody in turn, round after round, so that a bad minute of the machine hits all."""

import contextlib
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import Template

from .client import BenchError, Request, send
from .contenders import CONTENDERS, MILLRACE, Contender, authorized, missing, peer_command, stored_file
from .machine import CORES, Cpu, busy_cores, cpu_of, pinned, wait_for_quiet
from .payload import Payload, Source
from .servers import Running, millrace, running

WARM_UP = 64 * 1024**2
Say = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    size: int
    seconds: float
    server: Cpu
    client: Cpu
    busy: dict[int, float]  # per core, the share of this time
    iowait: float  # of all cores together

    @property
    def rate(self) -> float:
        return self.size / self.seconds

    @property
    def others(self) -> float:
        """Cores kept busy by neither server nor client: the kernel's own threads, and whoever else is here."""
        return max(0.0, sum(self.busy.values()) - (self.server.total + self.client.total) / self.seconds)


@dataclass
class Series:
    contender: Contender
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""
    left_out: str = ""

    def median(self, of: Callable[[Sample], float]) -> float:
        return statistics.median(of(sample) for sample in self.samples)

    @property
    def rate(self) -> float:
        return self.median(lambda sample: sample.rate)


def measure(
    chosen: set[str], rounds: int, size: int, source: Source, template: Template, scratch: Path, kept: Path, say: Say,
    patience: float = 0.0,
) -> list[Series]:  # fmt: skip
    table = [Series(contender) for contender in CONTENDERS if contender.key in chosen]
    with contextlib.ExitStack() as stack:
        hosts = dict(_start(table, template, scratch, kept, stack))
        for number in range(rounds + 1):
            # Nobody always comes after the same one.
            for series in table[number % len(table) :] + table[: number % len(table)]:
                if series.failure or series.left_out:
                    continue
                host = hosts[series.contender.server]
                wait_for_quiet(patience)
                try:
                    sample = one(series.contender, host, Payload(source, min(size, WARM_UP) if not number else size))
                except BenchError as error:
                    series.failure = f"{error}"
                    say(f"round {number}/{rounds}  {series.contender.key:12}  FAILED: {error}")
                    continue
                if number:
                    series.samples.append(sample)
                    checked = "digest right" if series.contender.hashes else "stored bytes right"
                    say(f"round {number}/{rounds}  {series.contender.key:12}  {_line(sample)}  {checked}")
            if not number:
                say(f"warmed up with {min(size, WARM_UP) // 1024**2} MiB each")
    return table


def _start(
    table: list[Series], template: Template, scratch: Path, kept: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Running]]:
    for server in dict.fromkeys(series.contender.server for series in table):
        mine = [series for series in table if series.contender.server == server]
        if reason := missing(server):
            for series in mine:
                series.left_out = reason
            continue
        try:
            if server == MILLRACE:
                yield server, stack.enter_context(millrace(template, scratch / "millrace"))
            else:
                yield server, stack.enter_context(running(peer_command(server, kept), scratch / server))
        except BenchError as error:
            for series in mine:
                series.failure = str(error)


def one(contender: Contender, host: Running, payload: Payload) -> Sample:
    """One upload, timed from connecting to the whole answer; checked and removed again outside of that time."""
    expected = payload.sha256  # reads it all: it is in the page cache now
    os.sync()
    me = [os.getpid()]
    with pinned():
        cores, server, client = busy_cores(), cpu_of(host.pids), cpu_of(me)
        started = time.perf_counter()
        answered = contender.upload(host, payload)
        seconds = time.perf_counter() - started
        after = busy_cores()
        server, client = cpu_of(host.pids) - server, cpu_of(me) - client
    host.check()
    _verify(contender, host, payload, answered, expected)
    busy = {core: min(1.0, (after[core][0] - cores[core][0]) / seconds) for core in CORES}
    iowait = sum(after[core][1] - cores[core][1] for core in CORES) / seconds
    return Sample(payload.size, seconds, server, client, busy, iowait)


def _verify(contender: Contender, host: Running, payload: Payload, answered: str, expected: str) -> None:
    if host.server is not None:
        answered = remove_all(host)
    else:
        stored = stored_file(host, payload)
        if not contender.hashes:
            with stored.open("rb") as file:
                answered = hashlib.file_digest(file, "sha256").hexdigest()
        for path in host.folder.iterdir():
            path.unlink()
    if answered != expected:
        raise BenchError(f"the digest is {answered}, not {expected}")


def remove_all(host: Running) -> str:
    """Delete what Millrace took in, through its API. Returns the digest of the newest."""
    found = json.loads(send(host.port, authorized(Request("GET", "/api/v1/files/"), host)).body)["results"]
    for file in found:
        send(host.port, authorized(Request("DELETE", f"/api/v1/files/{file['id']}/"), host))
    return str(found[0]["sha256"]) if found else "none"


def _line(sample: Sample) -> str:
    busy = " ".join(f"{core}:{share:4.0%}" for core, share in sample.busy.items())
    cpu = f"cpu {sample.server.user:.2f}u+{sample.server.system:.2f}s"
    return (
        f"{sample.rate / 1e9:5.2f} GB/s  {cpu}  cores {busy}  others {sample.others:4.0%}  iowait {sample.iowait:.0%}"
    )
