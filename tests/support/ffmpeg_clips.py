"""Films, sounds and pictures to work on, made by the real ffmpeg when a test asks for them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from media_jobs.ffmpeg import binary

Make = Callable[..., Path]  # make("film.mkv", *PICTURE, "-c:v", "libx264")

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2")
TONE = ("-f", "lavfi", "-i", "sine=duration=2")
LEAP = "setpts='if(gt(N,25),PTS+100000/TB,PTS)'"  # of the timestamps, by more than a day
FILM = (*PICTURE, *TONE, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")


def make(path: Path, *arguments: str) -> Path:
    command = [str(binary.find().path), "-nostdin", "-v", "error", "-y", *arguments, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def cut(path: Path, share: float) -> Path:
    """The beginning of a file, as an upload leaves it that was broken off."""
    short = path.with_name(f"cut-{path.name}")
    short.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return short
