"""Storyboards and waveforms: processor time and memory, beside audiowaveform if it is installed."""

import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .hls_films import make_minute, repeated
from .jobs import Figure
from .jobs_live import FFMPEG, make
from .operation_run import Run, alone, cpu_seconds

_PROMISED_STORYBOARD = 20.0  # seconds of processor time for an hour
_PROMISED_WALL, _PROMISED_MEMORY = 60.0, 150.0  # seconds and MB for the waveform of three hours
_TONE = ("-f", "lavfi", "-i", "sine=duration=60:sample_rate=44100", "-ac", "2", "-c:a", "aac", "-b:a", "128k")


def measure(rounds: int, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir()
    hour = repeated(make_minute(scratch / "minute.mp4", "2M"), 60)
    yield from _storyboards(rounds, hour, scratch)
    run = _median([alone("waveform", hour, scratch / f"film{number}") for number in range(rounds)])
    yield Figure(
        "waveform of 1 hour of video", f"{run.cpu:.1f} CPU s", beside=run.words(), numbers={"seconds": run.cpu}
    )
    hour.unlink()
    minute = make(scratch / "minute.m4a", *_TONE)
    sound = make(scratch / "sound.m4a", "-stream_loop", "179", "-i", str(minute), "-c", "copy")
    yield from _waveforms(rounds, sound, scratch)
    yield from _beside_audiowaveform(rounds, sound, scratch)


def _storyboards(rounds: int, hour: Path, scratch: Path) -> Iterator[Figure]:
    run = _median([alone("storyboard", hour, scratch / f"board{number}") for number in range(rounds)])
    yield Figure(
        "storyboard of 1 hour of 720p", f"{run.cpu:.1f} CPU s", f"{_PROMISED_STORYBOARD:g} CPU s",
        run.cpu <= _PROMISED_STORYBOARD, run.words(), {"seconds": run.cpu},
    )  # fmt: skip


def _waveforms(rounds: int, sound: Path, scratch: Path) -> Iterator[Figure]:
    run = _median([alone("waveform", sound, scratch / f"sound{number}") for number in range(rounds)])
    told = {"seconds": run.wall, "megabytes": run.memory, "processor": run.cpu}
    yield Figure(
        "waveform of 3 hours of AAC in stereo", f"{run.wall:.1f} s", f"{_PROMISED_WALL:g} s",
        run.wall <= _PROMISED_WALL, f"{run.cpu:.1f} CPU s", told,
    )  # fmt: skip
    yield Figure(
        "its memory", f"{run.memory:.0f} MB", f"{_PROMISED_MEMORY:g} MB", run.memory <= _PROMISED_MEMORY,
        "the operation's process and ffmpeg, without Django", told,
    )  # fmt: skip


def _beside_audiowaveform(rounds: int, sound: Path, scratch: Path) -> Iterator[Figure]:
    """The same bytes of a WAV, and the time they take."""
    program = shutil.which("audiowaveform")
    if program is None:
        yield Figure("beside audiowaveform", "not measured", beside="it is not installed")
        return
    wav = scratch / "sound.wav"
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-i", sound, wav], check=True)
    theirs, ours, equal = [], [], True
    for number in range(rounds):
        folder = scratch / f"beside{number}"
        ours.append(alone("waveform", wav, folder, bits=8).cpu)
        before = cpu_seconds()
        made = folder / "theirs.dat"
        subprocess.run([program, "-q", "-i", wav, "-o", made, "-b", "8", "--split-channels"], check=True)
        theirs.append(cpu_seconds() - before)
        split = scratch / f"split{number}"
        alone("waveform", wav, split, bits=8, split_channels=True)
        equal &= made.read_bytes() == (split / "waveform.dat").read_bytes()
    mine, other = statistics.median(ours), statistics.median(theirs)
    yield Figure(
        "waveform of 3 hours of WAV, beside audiowaveform", f"{mine / other:.2f} ×", "the same bytes", equal,
        f"{mine:.1f} and {other:.1f} CPU s", {"ratio": mine / other},
    )  # fmt: skip


def _median(runs: list[Run]) -> Run:
    return sorted(runs, key=lambda run: run.cpu)[len(runs) // 2]
