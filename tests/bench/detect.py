"""Detectors that are filters: their processor time beside that of decoding alone, their memory, and false scenes."""

import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .hls_films import make_minute, repeated
from .jobs import Figure
from .jobs_live import FFMPEG, make
from .operation_run import alone, cpu_seconds
from .quality_films import FILMS, RATE, SECONDS, make_film

_DETECTORS = ["scenes", "black", "freeze", "silence"]
_THREADS = 2  # as operation_run gives
_PROMISED_RATIO, _PROMISED_GROWTH = 1.15, 10.0  # times, and MB
_FRAME = 1 / RATE
_SIZES = {"1080p": ("1920x1080", 6), "360p": ("640x360", 30)}  # and how often ten seconds are repeated
_PICTURE = "testsrc2=s={size}:r=25:d=10,noise=alls=4:allf=t"
_SOUND = ("-f", "lavfi", "-i", "sine=duration=10:sample_rate=48000", "-ac", "2", "-c:a", "aac")
_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p")


def measure(rounds: int, hours: float, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    for name, (size, times) in _SIZES.items():
        picture = ("-f", "lavfi", "-i", _PICTURE.format(size=size))
        short = make(scratch / f"{name}-short.mp4", *picture, *_SOUND, *_X264)
        film = make(scratch / f"{name}.mp4", "-stream_loop", str(times - 1), "-i", str(short), "-c", "copy")
        yield _beside_decoding(name, film, rounds, scratch)
    yield from _memory(hours, scratch)
    yield _scenes(scratch)


def _beside_decoding(name: str, film: Path, rounds: int, scratch: Path) -> Figure:
    bare, ours = [], []
    for number in range(rounds):
        bare.append(_decode(film))
        ours.append(alone("detect", film, scratch / f"{name}-{number}", detectors=_DETECTORS).cpu)
    ratio = statistics.median(ours) / statistics.median(bare)
    return Figure(
        f"processor time of {', '.join(_DETECTORS)}, {name}", f"{ratio:.2f} × decoding alone",
        f"{_PROMISED_RATIO} ×", ratio <= _PROMISED_RATIO,
        f"{statistics.median(ours):.2f} and {statistics.median(bare):.2f} CPU s", {"ratio": ratio},
    )  # fmt: skip


def _decode(film: Path) -> float:
    before = cpu_seconds()
    words = ["-nostdin", "-v", "error", "-threads", str(_THREADS), "-i", str(film), "-f", "null", "-"]
    subprocess.run([FFMPEG, *words], check=True)
    return cpu_seconds() - before


def _memory(hours: float, scratch: Path) -> Iterator[Figure]:
    """In Matroska: of an MP4, ffmpeg has the index in memory."""
    minute = make_minute(scratch / "minute.mp4", "2M")
    least, memory = min(5, round(60 * hours)), list[float]()
    for minutes in (least, round(60 * hours)):
        film = make(scratch / f"{minutes}.mkv", "-i", str(repeated(minute, minutes)), "-c", "copy")
        memory.append(alone("detect", film, scratch / f"memory-{minutes}", detectors=_DETECTORS).memory)
    short, long = memory
    yield Figure(
        f"memory of {hours:g} hours", f"{long:.0f} MB", f"{_PROMISED_GROWTH:g} MB over {least} minutes",
        long <= short + _PROMISED_GROWTH, f"{least} minutes: {short:.0f} MB. The operation's process and ffmpeg",
        {"megabytes": long, "short": short},
    )  # fmt: skip


def _scenes(scratch: Path) -> Figure:
    """Twelve films of different nature one after the other have eleven cuts: those beside noise do not stand out."""
    films = [make_film(film, scratch / f"{film.__name__}.mkv") for film in FILMS]
    joined = scratch / "joined.mkv"
    sources = [word for film in films for word in ("-i", str(film))]
    graph = f"concat=n={len(films)}"
    make(joined, *sources, "-filter_complex", graph, "-c:v", "libx264", "-preset", "veryfast", "-crf", "23")
    folder = scratch / "scenes"
    alone("detect", joined, folder, detectors=["scenes"])
    found = [find["start"] for find in json.loads((folder / "detections.json").read_text())["finds"]][1:]
    planted = [number * SECONDS for number in range(1, len(films))]
    right = [cut for cut in planted if any(abs(cut - start) <= _FRAME for start in found)]
    false = len(found) - len(right)
    return Figure(
        "cuts between twelve films", f"{len(right)} of {len(planted)}, {false} false", "none false", not false,
        f"found at {', '.join(f'{start:.2f}' for start in found)}", {"right": len(right), "false": false},
    )  # fmt: skip
