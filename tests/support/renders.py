"""Renders as a worker does them, and what can be seen and heard in each part of a result."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from media_jobs.ffmpeg.probing.media_facts import Facts

from .troubled_clips import FFMPEG

RATE = 48000
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Rendered:
    path: Path
    facts: Facts
    message: str

    @property
    def frames(self) -> list[Colour]:
        """The average colour of each frame."""
        raw = _raw(self.path, "-map", "0:v", "-vf", "scale=1:1:flags=area,format=rgb24", "-f", "rawvideo")
        return [(raw[at], raw[at + 1], raw[at + 2]) for at in range(0, len(raw), 3)]

    @property
    def sound(self) -> npt.NDArray[np.float32]:
        """The samples of one channel."""
        return np.frombuffer(_raw(self.path, "-map", "0:a", "-ac", "1", "-ar", str(RATE), "-f", "f32le"), np.float32)

    def picture(self, at: float) -> npt.NDArray[np.uint8]:
        """A frame as rows of gray pixels."""
        stream = self.facts.video[0]
        raw = _raw(self.path, "-ss", f"{at}", "-frames:v", "1", "-pix_fmt", "gray", "-f", "rawvideo")
        return np.frombuffer(raw, np.uint8).reshape(stream.height, stream.width)

    def coloured(self, at: float) -> npt.NDArray[np.uint8]:
        """A frame as rows of red, green and blue."""
        stream = self.facts.video[0]
        raw = _raw(self.path, "-ss", f"{at}", "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo")
        return np.frombuffer(raw, np.uint8).reshape(stream.height, stream.width, 3)


class Render(Protocol):
    def __call__(
        self, files: Sequence[str | Path], clips: Sequence[dict[str, Any]], /, **params: Any
    ) -> Rendered: ...


def names(frames: Sequence[Colour]) -> list[tuple[str, int]]:
    """Runs of frames of the same colour: [("red", 25), ("black", 3)]."""
    runs: list[tuple[str, int]] = []
    for frame in frames:
        name = _name(frame)
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    return runs


def _name(frame: Colour) -> str:
    lit = [value > max(40, max(frame) * 0.6) for value in frame]
    known = {(True, False, False): "red", (False, True, False): "green", (False, False, True): "blue"}
    known |= {(True, True, False): "yellow", (False, False, False): "black"}
    return known.get((lit[0], lit[1], lit[2]), str(frame))


def tone(sound: npt.NDArray[np.float32], begin: float, end: float) -> int:
    """The loudest frequency between two times, to 10 Hz; 0 for silence."""
    part = sound[round(begin * RATE) : round(end * RATE)]
    if not len(part) or float(np.abs(part).max()) < 0.003:
        return 0
    found = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return round(float(found.argmax()) * RATE / len(part) / 10) * 10


def level(sound: npt.NDArray[np.float32], begin: float, end: float, hertz: int) -> float:
    """How loud one tone is between two times, in dB."""
    part = sound[round(begin * RATE) : round(end * RATE)]
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / RATE)
    return float(20 * np.log10(abs(np.dot(part, wave)) * 2 / len(part) + 1e-9))


def _raw(path: Path, *options: str) -> bytes:
    command = [FFMPEG, "-v", "error", "-i", str(path), *options, "-"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
