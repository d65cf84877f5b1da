"""How soon jobs start, what they cost over the bare ffmpeg, and what the database bears: beside what we promise."""

import contextlib
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import Server, Template, drop_database, make_template

from .client import BenchError
from .jobs_live import Stage, Submitted, make, rows, staged, unlike
from .machine import cpu_of, cpu_of_ended

HEAP = 10_000
SUBMITS = 60
TRIVIAL = 40
SLOTS, CLAIMERS = 50, 8
LOCAL_POSTGRES = "postgres://postgres@127.0.0.1/postgres"


@dataclass
class Figure:
    title: str
    found: str  # for people
    promised: str = ""
    kept: bool | None = None  # None where nothing is promised, or nothing was measured
    beside: str = ""
    numbers: dict[str, float] = field(default_factory=dict)  # for programs: seconds, or what the name says

    def row(self) -> list[str]:
        verdict = {True: "kept", False: "MISSED", None: "–"}[self.kept]
        return [self.title, self.found, self.promised or "–", verdict, self.beside]


@dataclass(frozen=True)
class Setting:
    rounds: int
    template: Template  # embedded
    database_url: str  # PostgreSQL's
    scratch: Path


def percentiles(taken: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(taken, n=20)
    return statistics.median(taken), cuts[-1]


def _in_ms(*seconds: float) -> str:
    return " / ".join(f"{one * 1000:.0f}" for one in seconds) + " ms"


def starting(setting: Setting) -> Iterator[Figure]:
    """With a busy heavy slot, and thousands behind it; then with thousands more that must wait in the same lane."""
    film = make(
        setting.scratch / "film.mp4", "-f", "lavfi", "-i", "testsrc2=size=1280x720:duration=5", "-pix_fmt", "yuv420p"
    )
    long = make(setting.scratch / "long.mp4", "-stream_loop", "199", "-i", str(film), "-c", "copy")
    picture = _picture(setting.scratch)
    with staged(setting.template, setting.scratch / "starting", "quick", "heavy") as stage:
        heavy = stage.submit(stage.upload(long.read_bytes(), "long.mp4"), "transcode", codec="h264", quality="high")
        stage.started(heavy)
        stage.rows("heap", HEAP, "transcode")
        file = stage.upload(picture, "picture.png")
        stage.calm()
        waits = _waits(stage, file, 16)
        yield _start_figure(f"submit to claim, {HEAP} queued behind a busy heavy slot", waits, stage)
        worst = max(seen for _, seen in waits)
        beside = "as a client saw it, the slowest of all"
        title = "the slowest start of a quick job while heavy ones fill every slot"
        yield Figure(title, _in_ms(worst), "1000 ms", worst <= 1, beside, {"seconds": worst})
        stage.rows("heap", HEAP, "thumbnail", hours=1)
        waits = _waits(stage, file, 16 + SUBMITS)
        yield _start_figure(f"the same, and {HEAP} more that wait in its lane for another try", waits, stage)
        if stage.column(heavy, "status") != "running":
            raise BenchError(f"the heavy slot was not busy to the end: {stage.column(heavy, 'error_detail')}")


def _waits(stage: Stage, file: str, width: int) -> list[tuple[float, float]]:
    """Of each submit, the seconds to its claim: by the database's clock, and as a client saw it."""
    waits = []
    for number in range(SUBMITS):
        time.sleep(random.uniform(0.05, 0.35))  # no step with any clock that ticks inside
        job = stage.submit(file, "thumbnail", width=width + number)
        seen = stage.started(job)
        stage.finished(job)
        waits.append((stage.between(job, "queued_at", "started_at"), seen))
        stage.idle()
    return waits


def _start_figure(title: str, waits: list[tuple[float, float]], stage: Stage) -> Figure:
    middle, late = percentiles([waited for waited, _ in waits])
    seen, seen_late = percentiles([seen for _, seen in waits])
    return Figure(
        f"{title}, p50 / p95", _in_ms(middle, late), "150 / 400 ms", middle <= 0.15 and late <= 0.4,
        f"a client, submitting {stage.entrance}, sees it after {_in_ms(seen, seen_late)}",
        {"p50": middle, "p95": late, "client_p50": seen, "client_p95": seen_late, "submits": len(waits)},
    )  # fmt: skip


def overhead(setting: Setting) -> Iterator[Figure]:
    """Rounds of the job and of its commands by hand, on an idle machine otherwise.

    The times are the database's. To look as often as elsewhere would cost the encoder a tenth of the processor.
    """
    source = (
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=854x480:rate=30:duration=20",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=20",
    )
    film = make(setting.scratch / "plain.mp4", *source, "-pix_fmt", "yuv420p", "-preset", "ultrafast")
    jobs, by_hand = [], []
    with staged(setting.template, setting.scratch / "overhead", "quick", "heavy", look_every=0.2) as stage:
        for number in range(setting.rounds):
            content = unlike(film.read_bytes())
            file = stage.upload(content, "film.mp4")
            stage.calm()
            job = stage.submit(file, "transcode", codec="h264", quality="high")
            stage.finished(job)
            jobs.append(stage.between(job, "queued_at", "finished_at"))
            by_hand.append(stage.bare(job, film, setting.scratch / f"by-hand-{number}"))
    whole, bare = statistics.median(jobs), statistics.median(by_hand)
    allowed = bare * 1.05 + 0.5
    yield Figure(
        "a transcode, queued to finished", f"{whole:.2f} s", f"{allowed:.2f} s", whole <= allowed,
        f"its command by hand {bare:.2f} s, {whole - bare:+.2f} s", {"job": whole, "bare": bare},
    )  # fmt: skip


def remaining(setting: Setting) -> Iterator[Figure]:
    """What people are told at half-way of how long it still takes, on a source that is the same all along."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=854x480:rate=30:duration=40")
    film = make(setting.scratch / "steady.mp4", *source, "-pix_fmt", "yuv420p", "-preset", "ultrafast")
    with staged(setting.template, setting.scratch / "remaining", "heavy") as stage:
        job = stage.submit(stage.upload(film.read_bytes(), "film.mp4"), "transcode", codec="h264", quality="high")
        half = stage.reached(job, "progress >= 0.5")
        told = float(stage.column(job, "eta_seconds"))
        took = stage.reached(job, "phase <> 'working'") - half
    off = abs(told - took) / took
    yield Figure(
        "the remaining time told at half-way is wrong by", f"{off:.0%}", "30 %", off <= 0.3,
        f"told {told:.0f} s, took {took:.1f} s", {"told": told, "took": took},
    )  # fmt: skip


def trivial_and_cached(setting: Setting) -> Iterator[Figure]:
    picture = setting.scratch / "picture.png"
    picture.write_bytes(_picture(setting.scratch))
    with staged(setting.template, setting.scratch / "trivial") as stage:
        file = stage.upload(picture.read_bytes(), "picture.png")
        jobs = [stage.submit(file, "thumbnail", width=16 + number) for number in range(TRIVIAL)]
        slot = stage.server.start_worker("quick")
        stage.started(jobs[0])
        own, below = cpu_of([slot.pid]).total, cpu_of_ended(slot.pid)
        began = time.monotonic()
        stage.calm()
        done = TRIVIAL + 1  # with the file's inspection, before them
        seconds = (time.monotonic() - began) / done
        own, below = (cpu_of([slot.pid]).total - own) / done, (cpu_of_ended(slot.pid) - below) / done
        bare = statistics.median(
            stage.bare(job, picture, setting.scratch / f"trivial-{number}") for number, job in enumerate(jobs[:5])
        )
        yield Figure(
            "trivial jobs on one slot", f"{1 / seconds:.1f} /s", beside=(
                f"{_in_ms(seconds)} each: ffmpeg by hand {_in_ms(bare)}; processor time of "
                f"all it starts {_in_ms(below)}, of the worker itself {_in_ms(own)}"
            ), numbers={"per_second": 1 / seconds, "bare": bare, "worker_cpu": own, "children_cpu": below},
        )  # fmt: skip
        yield _cached(stage, file, jobs)


def _cached(stage: Stage, file: str, jobs: list[Submitted]) -> Figure:
    answered = [stage.submit(file, "thumbnail", width=16 + number) for number in range(len(jobs))]
    if not all(stage.column(job, "cached") for job in answered):
        raise BenchError("the same job again was not answered from the cache")
    middle, late = percentiles([job.seconds for job in answered])
    title = f"the same job again, answered from the cache {stage.entrance}, p50 / p95"
    return Figure(title, _in_ms(middle, late), "100 ms", middle <= 0.1, numbers={"p50": middle, "p95": late})


def renewing(setting: Setting) -> Iterator[Figure]:
    """While a client uploads one small file after the other."""
    with staged(setting.template, setting.scratch / "renewing") as stage, _uploading(stage) as uploads:
        found = stage.rows("renewals", SLOTS, 15)
    middle, late = percentiles(found["taken"])
    failures = found["failures"]
    yield Figure(
        f"{SLOTS} slots renewing once a second, p50 / p95", _in_ms(middle, late), "no failure", not failures,
        f"{len(failures)} failures of {len(found['taken'])}, slowest {_in_ms(max(found['taken']))}, "
        f"beside {len(uploads)} uploads of p95 {_in_ms(percentiles(uploads)[1])}",
        {"p50": middle, "p95": late, "max": max(found["taken"]), "failures": len(failures), "uploads": len(uploads)},
    )  # fmt: skip


@contextlib.contextmanager
def _uploading(stage: Stage) -> Iterator[list[float]]:
    taken, over = list[float](), threading.Event()
    content = _picture(stage.server.home)

    def go() -> None:
        while not over.wait(0.05):
            before = time.monotonic()
            stage.upload(content, "picture.png")
            taken.append(time.monotonic() - before)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def claiming(setting: Setting) -> Iterator[Figure]:
    title = f"{CLAIMERS} processes claiming on PostgreSQL"
    try:
        template = make_template(setting.scratch / "template-claims", setting.database_url or LOCAL_POSTGRES)
    except Exception as error:
        yield Figure(title, "left out", beside=f"PostgreSQL does not answer: {type(error).__name__}")
        return
    server = Server(template.home, template.tokens, template.database_url)
    try:
        found = rows(server, "claims", CLAIMERS, 4000, 8)
    finally:
        drop_database(template.database_url)
    rate = found["claimed"] / found["seconds"]
    each = found["cpu"] / found["claimed"]
    yield Figure(
        title, f"{rate:.0f} /s", "300 /s", rate >= 300 and not found["doubled"],
        f"{found['doubled']} doubled of {found['claimed']}, {each * 1000:.2f} ms of processor each",
        {"per_second": rate, "doubled": found["doubled"], "cpu": each},
    )  # fmt: skip


def _picture(folder: Path) -> bytes:
    path = folder / "source.png"
    if not path.exists():
        make(path, "-f", "lavfi", "-i", "testsrc2=size=640x360", "-frames:v", "1")
    return path.read_bytes()


PARTS: list[Callable[[Setting], Iterator[Figure]]] = [
    starting,
    overhead,
    remaining,
    trivial_and_cached,
    renewing,
    claiming,
]
