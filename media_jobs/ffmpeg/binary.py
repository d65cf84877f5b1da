"""Finds the ffmpeg to run, and identifies its build."""

import functools
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

WHEEL = "wheel"
_TIMEOUT = 20.0  # seconds: a slow disk has to read 170 MB


class NoFfmpeg(Exception):
    """There is no ffmpeg, or it does not run. The message says what was tried."""


@dataclass(frozen=True, slots=True)
class Binary:
    path: Path
    build: str  # version, and a hash of the version and configuration: cached results of another build are not used


def find(setting: str = WHEEL) -> Binary:
    """Find the ffmpeg that a setting names: a path, a command, or "wheel".

    "wheel" is the one of the package imageio-ffmpeg; where that has none, the one in PATH.
    """
    return _find(setting or WHEEL)


@functools.cache
def _find(setting: str) -> Binary:
    if setting != WHEEL:
        return _inspect(Path(shutil.which(setting) or setting).absolute())
    path = _in_wheel() or shutil.which("ffmpeg")
    if path is None:
        raise NoFfmpeg("No ffmpeg was found: imageio-ffmpeg has none for this machine, and none is in PATH.")
    return _inspect(Path(path).absolute())


def _in_wheel() -> str | None:
    # Not get_ffmpeg_exe(), which also reads an environment variable and searches other places.
    found = sorted((Path(imageio_ffmpeg.__file__).parent / "binaries").glob("ffmpeg-*"))
    return str(found[0]) if found else None


def _inspect(path: Path) -> Binary:
    try:
        output = subprocess.run(  # noqa: S603 - a path from the settings
            [path, "-version"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoFfmpeg(f"{path} cannot be run as ffmpeg: {_reason(error)}") from error
    words = output.split()
    if words[:2] != ["ffmpeg", "version"]:
        raise NoFfmpeg(f"{path} is not ffmpeg: its answer to -version begins with {output[:40]!r}")
    return Binary(path, f"{words[2][:24]}-{hashlib.sha256(output.encode()).hexdigest()[:12]}")


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not answer within {_TIMEOUT:g} seconds"
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with exit code {error.returncode}"
    return getattr(error, "strerror", None) or str(error)
