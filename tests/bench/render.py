"""A render of 20 clips beside one command written by hand, and the same render after one clip was changed."""

import resource
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.server import Template

from .client import BenchError
from .jobs import Figure
from .jobs_live import FFMPEG, Stage, make, staged, unlike
from .machine import cpu_of, cpu_of_ended

_CLIPS, _LENGTH = 20, 2.0  # seconds
_FILM = (
    "-f", "lavfi", "-i", "testsrc2=size=854x480:rate=30:duration=60,noise=alls=8:allf=t",
    "-f", "lavfi", "-i", "sine=duration=60", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", "16", "-g", "60",
)  # fmt: skip
_PROMISED_CPU, _PROMISED_CHANGE = 1.25, 2.0  # times the command by hand; clips of work
_AS_RENDER = ("-c:v", "libx264", "-preset", "fast", "-crf", "23", "-c:a", "aac", "-b:a", "160k")


@dataclass
class _Spent:
    cpus: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)

    def add(self, cpu: float, wall: float) -> None:
        self.cpus.append(cpu)
        self.walls.append(wall)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus)

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)


def measure(rounds: int, template: Template, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    source = make(scratch / "film.mp4", *_FILM)
    whole, changed, by_hand = _Spent(), _Spent(), _Spent()
    with staged(template, scratch / "home", "quick", JOB_THREADS="2") as stage:
        pid = stage.server.start_worker("heavy").pid
        for _ in range(rounds):
            file = stage.upload(unlike(source.read_bytes()), "film.mp4")
            stage.calm()
            starts = [number * 2.5 for number in range(_CLIPS)]
            whole.add(*_render(stage, pid, file, starts))
            changed.add(*_render(stage, pid, file, [*starts[:7], 55.0, *starts[8:]]))
            by_hand.add(*_command(source, starts, scratch / "by-hand.mp4"))
    ratio, clips = whole.cpu / by_hand.cpu, changed.cpu / (whole.cpu / _CLIPS)
    yield Figure(
        f"processor time of a render of {_CLIPS} clips", f"{ratio:.2f} ×", f"{_PROMISED_CPU} ×",
        ratio <= _PROMISED_CPU,
        f"{whole.cpu:.1f} s, one command by hand {by_hand.cpu:.1f} s; wall {whole.wall:.1f} and {by_hand.wall:.1f} s",
        {"ratio": ratio},
    )  # fmt: skip
    yield Figure(
        f"the same render after one of {_CLIPS} clips was changed", f"{clips:.2f} clips of work",
        f"{_PROMISED_CHANGE:g}", clips <= _PROMISED_CHANGE,
        f"{changed.cpu:.1f} of {whole.cpu:.1f} s of processor time; wall {changed.wall:.1f} of {whole.wall:.1f} s",
        {"clips": clips},
    )  # fmt: skip


def _render(stage: Stage, pid: int, file: str, starts: list[float]) -> tuple[float, float]:
    before = _cpu(pid)
    clips: list[dict[str, Any]] = [{"file": file, "start": start, "duration": _LENGTH} for start in starts]
    job = stage.submit(file, "render", clips=clips)
    stage.finished(job)
    return _cpu(pid) - before, stage.between(job, "queued_at", "finished_at")


def _cpu(pid: int) -> float:
    return cpu_of([pid]).total + cpu_of_ended(pid)


def _command(source: Path, starts: list[float], target: Path) -> tuple[float, float]:
    inputs = [word for start in starts for word in ("-ss", f"{start}", "-t", f"{_LENGTH}", "-i", str(source))]
    parts = [f"[{n}:v]fps=30,setsar=1,format=yuv420p[v{n}];[{n}:a]aresample=48000,apad,atrim=0:{_LENGTH}[a{n}]"
             for n in range(len(starts))]  # fmt: skip
    pairs = "".join(f"[v{n}][a{n}]" for n in range(len(starts)))
    graph = ";".join([*parts, f"{pairs}concat=n={len(starts)}:v=1:a=1[v][a]"])
    command = ["nice", "-n", "10", FFMPEG, "-nostdin", "-v", "error", "-y", *inputs, "-filter_complex", graph]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "-map", "[v]", "-map", "[a]", "-threads", "2", *_AS_RENDER, str(target)], stderr=subprocess.PIPE
    )
    if done.returncode:
        raise BenchError(f"the command by hand: {done.stderr[-300:]!r}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began
