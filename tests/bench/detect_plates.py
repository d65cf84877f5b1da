"""Number plates in drawn clips: how right the finds are, the speed beside a bare loop, and the memory of hours."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from media_jobs.detection.plates import load
from media_jobs.understanding.extras import VISION, installed
from tests.support.run import command_for, result_of

from .hls_films import repeated
from .jobs import Figure
from .jobs_live import FFMPEG
from .operation_run import alone, cpu_seconds

if TYPE_CHECKING:
    from tests.support.street_pictures import Condition

_CLIPS, _SECONDS = 10, 6.0
_FPS, _THREADS = 5, 2  # frames that `detect` looks at in a second, and threads that `alone` gives
_FRAME = 1 / _FPS + 0.04  # a sampled frame, and one of the clip
_PROMISED_FOUND, _PROMISED_EXACT, _PROMISED_COUNTED, _PROMISED_SPEED, _PROMISED_GROWTH = 0.95, 0.90, 0.9, 0.9, 30.0
_SIZE = (1280, 720)


def measure(rounds: int, hours: float, scratch: Path, first_seed: int = 1) -> Iterator[Figure]:
    scratch.mkdir()
    if VISION not in installed():
        yield Figure("number plates", "not measured", beside='they need make bench EXTRAS="vision"')
        return
    from tests.support.drawn_plates import draw_clip
    from tests.support.street_pictures import CONDITIONS

    for condition in CONDITIONS:
        yield _accuracy(condition, first_seed, scratch)
    film = draw_clip(scratch / "film.mp4", first_seed, seconds=20).path
    yield _beside_bare_loop(film, rounds, scratch)
    minute = draw_clip(scratch / "minute.mp4", first_seed, seconds=60, width=640).path
    yield _memory(minute, hours, scratch)


def _accuracy(condition: "Condition", first_seed: int, scratch: Path) -> Figure:
    from tests.support.drawn_plates import draw_clip
    from tests.support.plate_scores import PlateScore

    score = PlateScore()
    for seed in range(first_seed, first_seed + _CLIPS):
        name = f"{condition}-{seed}"
        clip = draw_clip(scratch / f"{name}.mp4", seed, condition, seconds=_SECONDS)
        alone("detect", clip.path, scratch / name, detectors=["plates"], max_fps=_FPS)
        score.add(clip, json.loads((scratch / name / "detections.json").read_text())["finds"])
    found, exact = score.found / score.plates, score.exact / score.plates
    latest = max(score.late, default=0.0)
    kept = (
        found >= _PROMISED_FOUND and exact >= _PROMISED_EXACT and latest <= _FRAME
        and score.counted >= _PROMISED_COUNTED * score.clips
    )  # fmt: skip
    return Figure(
        f"number plates, drawn, {condition}",
        f"{score.found} of {score.plates} found, {score.exact} read exactly, {score.false} false, times within "
        f"{latest:.2f} s, counts right in {score.counted} of {score.clips} clips",
        f"{_PROMISED_FOUND:.0%}, {_PROMISED_EXACT:.0%}, {_FRAME:.2f} s, 9 of 10" if condition == "day" else "",
        kept if condition == "day" else None,
        "; ".join(score.wrong[:8]),
        {"found": found, "exact": exact, "false": score.false, "late": latest, "counted": score.counted},
    )


def bare_loop(film: str) -> dict[str, float]:
    """The same detector over the same frames, in one process."""
    began, (width, height) = time.monotonic(), _SIZE
    looker = load(_THREADS, _FPS)
    chosen = (
        f"select='isnan(prev_selected_t)+gt(round(t*{_FPS}),round(prev_selected_t*{_FPS}))',scale={width}:{height}"
    )
    words = [
        "-nostdin",
        "-v",
        "error",
        "-threads",
        str(_THREADS),
        "-i",
        film,
        "-vf",
        chosen,
        "-fps_mode",
        "passthrough",
    ]
    frames = 0
    with subprocess.Popen(
        [FFMPEG, *words, "-pix_fmt", "bgr24", "-f", "rawvideo", "-"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while data := process.stdout.read(width * height * 3):
            looker.look(np.frombuffer(data, np.uint8).reshape(height, width, 3), None, frames / _FPS)
            frames += 1
    return {"wall": time.monotonic() - began, "cpu": cpu_seconds(), "frames": frames}


def _beside_bare_loop(film: Path, rounds: int, scratch: Path) -> Figure:
    bare, ours, looked_at, used = [], [], 0, dict[str, list[float]](bare=[], ours=[])
    for number in range(rounds):
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        command = command_for(bare_loop, str(film))
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found = result_of(done.stdout)
        bare.append(found["frames"] / found["wall"])
        used["bare"].append(found["cpu"])
        folder = scratch / f"speed-{number}"
        took = alone("detect", film, folder, detectors=["plates"], max_fps=_FPS)
        looked_at = json.loads((folder / "detections.json").read_text())["frames"]["looked_at"]
        ours.append(looked_at / took.wall)
        used["ours"].append(took.cpu)
    ratio = statistics.median(ours) / statistics.median(bare)
    return Figure(
        "frames a second, beside a bare loop", f"{ratio:.2f} ×", f"{_PROMISED_SPEED} ×", ratio >= _PROMISED_SPEED,
        f"{statistics.median(ours):.2f} and {statistics.median(bare):.2f} frames a second, {looked_at} frames of "
        f"{_SIZE[0]}x{_SIZE[1]}, with the start of the helper and of the models; "
        f"{statistics.median(used['ours']):.1f} and {statistics.median(used['bare']):.1f} CPU s",
        {"ratio": ratio, "cpu": statistics.median(used["ours"]) / statistics.median(used["bare"])},
    )  # fmt: skip


def _memory(minute: Path, hours: float, scratch: Path) -> Figure:
    least, most = min(10, round(60 * hours)), round(60 * hours)
    short, long = (
        alone(
            "detect", repeated(minute, minutes), scratch / f"memory-{minutes}-{number}", detectors=["plates"],
            max_fps=0.25,
        ).memory
        for number, minutes in enumerate((least, most))
    )  # fmt: skip
    return Figure(
        f"memory of {hours:g} hours of plates", f"{long:.0f} MB", f"{_PROMISED_GROWTH:g} MB over {least} minutes",
        long <= short + _PROMISED_GROWTH,
        f"{least} minutes: {short:.0f} MB. The operation's process, the helper and ffmpeg, a frame each 4 s",
        {"megabytes": long, "short": short},
    )  # fmt: skip
