"""One film encoded whole by one slot of two threads, and split over two slots of one thread each."""

import re
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import Template

from .client import BenchError
from .jobs import Figure
from .jobs_live import FFMPEG, Stage, make, staged, unlike
from .machine import cpu_of, cpu_of_ended
from .split_times import PartsWatch, SplitTimes

_SECONDS = 60
# Moving pictures with grain, and a key frame every two seconds, as cameras make them.
_FILM = (
    "-f", "lavfi", "-i", f"testsrc2=size=854x480:rate=30:duration={_SECONDS},noise=alls=8:allf=t",
    "-f", "lavfi", "-i", f"sine=duration={_SECONDS}", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", "16",
    "-g", "60",
)  # fmt: skip
_LOOK_EVERY = 0.2  # seconds; both cores are to encode, and all times are the database's
_PROMISED_WALL, _PROMISED_CPU, _PROMISED_VMAF, _PROMISED_SIZE = 0.85, 1.05, 0.3, 0.02


@dataclass
class Side:
    stage: Stage
    pids: list[int]
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    splits: list[SplitTimes] = field(default_factory=list)
    video: bytes = b""

    def encode(self, film: bytes) -> None:
        file = self.stage.upload(unlike(film), "film.mp4")
        self.stage.calm()
        before = self._cpu()
        job = self.stage.submit(file, "transcode", codec="h264")
        with PartsWatch(self.stage, job) as watch:
            self.stage.finished(job)
        self.splits += watch.times()
        self.walls.append(self.stage.between(job, "queued_at", "finished_at"))
        self.cpus.append(self._cpu() - before)
        server = self.stage.server
        [artifact] = server.get(f"/api/v1/jobs/{job.id}/", user="alice").json()["artifacts"]
        self.video = server.get(f"/api/v1/files/{artifact['file']}/content", user="alice").body

    def _cpu(self) -> float:
        return cpu_of(self.pids).total + sum(map(cpu_of_ended, self.pids))


@contextmanager
def _side(template: Template, home: Path, slots: int, **settings: str) -> Iterator[Side]:
    with staged(template, home, "quick", look_every=_LOOK_EVERY, **settings) as stage:
        yield Side(stage, [stage.server.start_worker("heavy").pid for _ in range(slots)])


def measure(rounds: int, template: Template, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    source = make(scratch / "film.mp4", *_FILM)
    film = source.read_bytes()
    with ExitStack() as stack:
        whole = stack.enter_context(_side(template, scratch / "whole", 1, JOB_THREADS="2", SPLIT_AFTER="1h"))
        split = stack.enter_context(_side(template, scratch / "split", 2, JOB_THREADS="1", SPLIT_AFTER="20s"))
        for number in range(rounds):
            for side in (whole, split) if number % 2 else (split, whole):
                side.encode(film)
    for what, one, other, promised in (
        ("wall time", split.walls, whole.walls, _PROMISED_WALL),
        ("processor time", split.cpus, whole.cpus, _PROMISED_CPU),
    ):
        mine, theirs = statistics.median(one), statistics.median(other)
        ratio = mine / theirs
        yield Figure(
            f"{what}, split over two slots of one thread", f"{ratio:.2f} ×", f"{promised} ×", ratio <= promised,
            f"{mine:.1f} s, whole on one slot of two threads {theirs:.1f} s", {"ratio": ratio},
        )  # fmt: skip
    yield from _where_the_time_goes(split.splits)
    yield from _same_quality(source, whole, split, scratch)


def _where_the_time_goes(found: list[SplitTimes]) -> Iterator[Figure]:
    """Without a promise: what the wall time is made of."""
    for what, seconds in (
        ("from the submit to the first part", [each.split for each in found]),
        ("between two parts, of a slot", [each.between for each in found]),
        ("while one slot has no part left, and the other works", [each.alone for each in found]),
        ("from the last part to the end", [each.join for each in found]),
    ):
        middle = statistics.median(seconds)
        yield Figure(f"split encode: {what}", f"{middle:.2f} s", numbers={"seconds": middle})


def _same_quality(source: Path, whole: Side, split: Side, scratch: Path) -> Iterator[Figure]:
    paths = {}
    for name, side in (("whole", whole), ("split", split)):
        paths[name] = scratch / f"{name}.mp4"
        paths[name].write_bytes(side.video)
    larger = len(split.video) / len(whole.video) - 1
    yield Figure(
        "size of the split encode, beside the whole", f"{larger:+.2%}", f"± {_PROMISED_SIZE:.0%}",
        abs(larger) <= _PROMISED_SIZE, f"{len(split.video) / 1e6:.2f} and {len(whole.video) / 1e6:.2f} MB",
        {"ratio": larger},
    )  # fmt: skip
    scores = {name: vmaf_of(path, source) for name, path in paths.items()}
    off = scores["split"] - scores["whole"]
    yield Figure(
        "VMAF of the split encode, beside the whole", f"{off:+.2f}", f"± {_PROMISED_VMAF}",
        abs(off) <= _PROMISED_VMAF, f"{scores['split']:.2f} and {scores['whole']:.2f}", {"difference": off},
    )  # fmt: skip
    times = {name: _timestamps(path) for name, path in paths.items()}
    same = times["split"] == times["whole"]
    found = f"{len(times['split'])} frames, {'the same' if same else 'OTHER'} timestamps"
    yield Figure("frames of the split encode", found, "those of the whole", same)


def vmaf_of(path: Path, source: Path) -> float:
    done = subprocess.run(
        [FFMPEG, "-nostdin", "-i", path, "-i", source, "-lavfi", "[0:v][1:v]libvmaf=n_threads=2", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if (found := re.search(r"VMAF score: ([\d.]+)", done.stderr)) is None:
        raise BenchError(f"ffmpeg told no VMAF: {done.stderr[-500:]}")
    return float(found[1])


def _timestamps(path: Path) -> list[int]:
    """In the order of presentation: two encodes may decode their frames in another order."""
    command = [FFMPEG, "-nostdin", "-v", "error", "-i", path, "-map", "0:v", "-c", "copy", "-f", "framehash", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(int(line.split(",")[2]) for line in lines if line[:1].isdigit())
