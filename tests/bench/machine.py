"""What the machine says of itself: cores, processor time, memory. Linux's /proc."""

import os
import re
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
QUIET = 0.15  # of one core
CORES = sorted(os.sched_getaffinity(0))
CLIENT_CORE = CORES[-1]
_RSS_ANON = re.compile(rb"RssAnon:\s+(\d+) kB")


@contextmanager
def pinned(core: int = CLIENT_CORE) -> Iterator[None]:
    """This thread on one core. Processes started meanwhile would be, too: start none."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_open_files(count: int) -> bool:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= count


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


@dataclass(frozen=True)
class Cpu:
    """Seconds of processor time."""

    user: float
    system: float

    def __sub__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.user - other.user, self.system - other.system)

    @property
    def total(self) -> float:
        return self.user + self.system


def cpu_of(pids: list[int]) -> Cpu:
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return Cpu(user / TICKS, system / TICKS)


def cpu_of_ended(pid: int) -> float:
    """Seconds of processor time of all that a process has started and seen the end of."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def busy_cores() -> dict[int, tuple[float, float]]:
    """For each core the seconds it has been busy, and waited for a disk with nothing else to do."""
    found = {}
    for line in Path("/proc/stat").read_text().splitlines():
        if (match := re.match(r"cpu(\d+) (.*)", line)) and int(match[1]) in CORES:
            ticks = [int(word) for word in match[2].split()]
            idle, iowait = ticks[3], ticks[4]
            found[int(match[1])] = ((sum(ticks[:8]) - idle - iowait) / TICKS, iowait / TICKS)
    return found


def business(seconds: float) -> dict[int, float]:
    """For each core the share of the next seconds that it is busy."""
    before = busy_cores()
    time.sleep(seconds)
    after = busy_cores()
    return {core: (after[core][0] - before[core][0]) / seconds for core in CORES}


def wait_for_quiet(patience: float) -> None:
    """Until others leave the machine alone for half a second, or patience ends. What they do then is in the table."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and sum(business(0.5).values()) > QUIET:
        pass


def rss_anon(pids: list[int]) -> int:
    """Bytes of memory that belong to no file."""
    total = 0
    for pid in pids:
        match = _RSS_ANON.search(Path(f"/proc/{pid}/status").read_bytes())
        total += int(match[1]) * 1024 if match else 0
    return total


class PeakMemory:
    """The most that a server's processes held while it watched. Start it before pinning anything."""

    def __init__(self, pids: list[int], every: float = 0.004) -> None:
        self._pids, self._every = pids, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = rss_anon(pids)
        self._seen: list[tuple[float, int]] = [(time.monotonic(), self.before)]

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            self._seen.append((time.monotonic(), rss_anon(self._pids)))

    @property
    def peak(self) -> int:
        return max(held for _, held in self._seen)

    def most_between(self, since: float, until: float) -> int:
        """On the clock of time.monotonic()."""
        return max((held for when, held in self._seen if since <= when < until), default=0)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def describe() -> dict[str, str]:
    """Which machine this is."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": f"{len(CORES)} × {cpu[1] if cpu else 'unknown'}",
        "memory": f"{int(memory[1]) / 1024**2:.0f} GiB" if memory else "unknown",
        "kernel": os.uname().release,
    }
