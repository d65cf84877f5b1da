"""How near `vmaf:N` comes to N, what its search costs, and which bytes it saves, on twelve different films."""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.command import Command
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work

from .jobs import Figure
from .jobs_live import make
from .machine import cpu_of_ended
from .quality_films import FILMS, make_film
from .split import vmaf_of

CODECS = ("h264", "av1", "hevc")
TARGETS = (85, 90, 95)
_THREADS = 2
_PROMISED_MISS, _PROMISED_BYTES, _PROMISED_SEARCH, _SAVING = 1.0, 0.8, 0.5, 93
# The H.264 profile for 360 lines that MediaCMS comes with (files/helpers.py).
_MEDIACMS = (
    "-c:v", "libx264", "-crf", "23", "-maxrate", "750k", "-bufsize", "750k", "-preset", "medium",
    "-profile:v", "main", "-level", "4.2", "-x264-params", "keyint=200:keyint_min=100",
    "-force_key_frames", "expr:gte(t,n_forced*4)", "-pix_fmt", "yuv420p",
)  # fmt: skip


@dataclass
class TimedTools(Toolbox):
    """Adds up the processor time of its runs by the first word of what users are told."""

    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def ffmpeg(self, command: Command, *, verb: str = "Encoded", **options: Any) -> str:
        before = cpu_of_ended(os.getpid())
        try:
            return super().ffmpeg(command, verb=verb, **options)
        finally:
            self.cpu[verb.split()[0]] += cpu_of_ended(os.getpid()) - before


@dataclass(frozen=True)
class Made:
    film: str
    size: int
    vmaf: float  # as ffmpeg alone measures it
    measured: dict[str, Any]
    cpu: dict[str, float]


class Studio:
    """Encodes films as a worker does, with the notes of earlier encodes."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        self._scratch, self._sandbox = scratch, Sandbox.probe()
        self._notes: dict[Path, dict[str, dict[str, float]]] = defaultdict(dict)
        self._number = 0
        self.films = [make_film(film, scratch / f"{film.__name__}.mp4") for film in FILMS]

    def transcode(self, film: Path, codec: str, quality: str | int) -> Made:
        self._number += 1
        folder = self._scratch / str(self._number)
        folder.mkdir(mode=0o700)
        tools = TimedTools(find(), self._sandbox, folder, _THREADS, lambda: None, lambda _: None)
        params = parse(get("transcode"), {"codec": codec, "quality": quality, "audio": "none"})
        main = Input(film, film.name, "video", probe(film, self._sandbox))
        done = get("transcode").run(Work(params, main, [], folder, tools, _THREADS, self._notes[film]))
        [output] = done.outputs
        size, vmaf = output.path.stat().st_size, vmaf_of(output.path, film)
        output.path.unlink()
        return Made(film.stem, size, vmaf, dict(done.measured or {}), tools.cpu)

    def long_film(self) -> Path:
        """Six minutes, small: the twelve films one after the other, five times."""
        inputs = [word for film in self.films for word in ("-i", str(film))]
        scaled = f"concat=n={len(self.films)}:v=1,scale=320:180"
        once = make(self._scratch / "once.mp4", *inputs, "-filter_complex", scaled, "-crf", "10", "-g", "50")
        return make(self._scratch / "long.mp4", "-stream_loop", "4", "-i", str(once), "-c", "copy")


def measure(scratch: Path) -> Iterator[Figure]:
    studio = Studio(scratch)
    for codec in CODECS:
        yield from _near_the_target(studio, codec)
        yield from _bytes_saved(studio, codec)
        if codec == "h264":
            yield _search_cost(studio)
    for codec in (*CODECS, "vp9"):
        yield _words(studio, codec)


def _near_the_target(studio: Studio, codec: str) -> Iterator[Figure]:
    for target in TARGETS:
        made = [studio.transcode(film, codec, f"vmaf:{target}") for film in studio.films]
        reached = [each for each in made if not each.measured["limit"]]
        misses = {each.film: each.vmaf - target for each in reached}
        worst = max(map(abs, misses.values()), default=0.0)
        told = [f"{each.film} {each.measured['limit']} {each.vmaf:.1f}" for each in made if each.measured["limit"]]
        again = sum(each.measured["encodes"] == 2 for each in made)
        beyond = [f"{film} {miss:+.2f}" for film, miss in misses.items() if abs(miss) > _PROMISED_MISS]
        yield Figure(
            f"{codec}, vmaf:{target}: the whole film", f"{worst:.2f} off at most", f"± {_PROMISED_MISS:g}",
            not beyond,
            f"{again} encoded twice; beyond: {', '.join(beyond) or 'none'}; "
            f"at the codec's limit: {', '.join(told) or 'none'}",
            {"worst": worst},
        )  # fmt: skip


def _bytes_saved(studio: Studio, codec: str) -> Iterator[Figure]:
    made = [studio.transcode(film, codec, f"vmaf:{_SAVING}") for film in studio.films]
    mine = sum(each.size for each in made)
    crf, fixed = _fixed(studio, codec, min(int(each.measured["crf"]) for each in made))
    ratio = mine / sum(each.size for each in fixed)
    yield Figure(
        f"{codec}, bytes of vmaf:{_SAVING} beside the CRF that gives each film {_SAVING}", f"{ratio:.2f} ×",
        f"{_PROMISED_BYTES} ×", ratio <= _PROMISED_BYTES,
        f"worst VMAF {_worst(made):.1f}, with CRF {crf} {_worst(fixed):.1f}; {mine / 1e6:.1f} MB", {"ratio": ratio},
    )  # fmt: skip
    if codec == "h264":
        yield _beside_mediacms(studio, made)


def _fixed(studio: Studio, codec: str, crf: int) -> tuple[int, list[Made]]:
    """The highest whole CRF from this one downwards that gives every film the VMAF, and what it makes."""
    while True:
        made = [studio.transcode(film, codec, crf) for film in studio.films]
        if _worst(made) >= _SAVING or crf <= 1:
            return crf, made
        crf -= 1


def _worst(made: Sequence[Made]) -> float:
    return min(each.vmaf for each in made)


def _beside_mediacms(studio: Studio, made: Sequence[Made]) -> Figure:
    sizes, scores = [], []
    for film in studio.films:
        path = make(film.with_suffix(".mediacms.mp4"), "-i", str(film), *_MEDIACMS)
        sizes.append(path.stat().st_size)
        scores.append(vmaf_of(path, film))
    mine = sum(each.size for each in made)
    return Figure(
        f"bytes of vmaf:{_SAVING} beside MediaCMS's H.264 profile", f"{mine / sum(sizes):.2f} ×",
        beside=f"worst VMAF {_worst(made):.1f}, theirs {min(scores):.1f}; median {_median(made):.1f}, theirs "
        f"{statistics.median(scores):.1f}", numbers={"ratio": mine / sum(sizes)},
    )  # fmt: skip


def _median(made: Sequence[Made]) -> float:
    return statistics.median(each.vmaf for each in made)


def _search_cost(studio: Studio) -> Figure:
    made = studio.transcode(studio.long_film(), "h264", f"vmaf:{_SAVING}")
    encode = made.cpu["Encoded"] / made.measured["encodes"]
    ratio = made.cpu["Searching"] / encode
    return Figure(
        "processor time of the search, for a film of 6 minutes", f"{ratio:.2f} × the encode", f"{_PROMISED_SEARCH} ×",
        ratio <= _PROMISED_SEARCH,
        f"search {made.cpu['Searching']:.1f} s, encode {encode:.1f} s, measuring {made.cpu['Measuring']:.1f} s; VMAF "
        f"{made.vmaf:.1f}", {"ratio": ratio},
    )  # fmt: skip


def _words(studio: Studio, codec: str) -> Figure:
    """What low, medium and high give."""
    found = {}
    for word in ("low", "medium", "high"):
        found[word] = statistics.mean(studio.transcode(film, codec, word).vmaf for film in studio.films)
    told = ", ".join(f"{word} {score:.1f}" for word, score in found.items())
    return Figure(f"{codec}, mean VMAF of the qualities in words", told, numbers=found)
