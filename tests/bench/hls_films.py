"""Films that HLS plays without a copy, of any length for little: one minute that is encoded once and repeated."""

import os
import struct
import subprocess
from pathlib import Path

from .jobs_live import FFMPEG, make

_MINUTE = (
    "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=60,noise=alls=4:allf=t",
    "-f", "lavfi", "-i", "sine=duration=60:sample_rate=48000", "-pix_fmt", "yuv420p", "-preset", "ultrafast",
    "-g", "60", "-x264-params", "scenecut=0:open-gop=0",
)  # fmt: skip
_SALT = 64


def make_minute(path: Path, rate: str) -> Path:
    return make(path, *_MINUTE, "-b:v", rate, "-maxrate", rate, "-bufsize", rate)


def repeated(minute: Path, minutes: int) -> Path:
    """That many times the minute, with room at the end that a player skips."""
    listed, path = minute.with_suffix(".txt"), minute.with_name(f"{minutes}.mp4")
    listed.write_text(f"file '{minute}'\n" * minutes)
    command = [FFMPEG, "-nostdin", "-v", "error", "-f", "concat", "-safe", "0", "-i", listed, "-c", "copy"]
    subprocess.run([*command, "-movflags", "+faststart", path], check=True)
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + _SALT, b"free") + bytes(_SALT))
    return path


def make_unlike(film: Path) -> None:
    """Other bytes, the same film: an upload of equal bytes would not be stored again."""
    with film.open("r+b") as file:
        file.seek(-_SALT, os.SEEK_END)
        file.write(os.urandom(_SALT))
