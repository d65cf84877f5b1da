"""Which ffmpeg we run, and what it was built of."""

import functools
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

WHEEL = "wheel"
_PATIENCE = 20.0  # seconds; a cold disk takes its time over 170 MB


class NoFfmpeg(Exception):
    """There is no ffmpeg to run, or it does not run. The message says what was tried."""


@dataclass(frozen=True, slots=True)
class Binary:
    path: Path
    build: str  # short and stable: version, and a hash of it with its configuration. Results are kept under it.


def find(wanted: str = WHEEL) -> Binary:
    """The ffmpeg of a setting: a path, or "wheel" for the one that came along, else the one in PATH."""
    return _find(wanted or WHEEL)


@functools.cache
def _find(wanted: str) -> Binary:
    if wanted != WHEEL:
        return _inspect(Path(shutil.which(wanted) or wanted).absolute())
    path = _of_the_wheel() or shutil.which("ffmpeg")
    if path is None:
        raise NoFfmpeg("There is no ffmpeg: imageio-ffmpeg has none for this machine, and none is in PATH.")
    return _inspect(Path(path).absolute())


def _of_the_wheel() -> str | None:
    # Not get_ffmpeg_exe(): that looks elsewhere, too, and at a variable of the environment.
    found = sorted((Path(imageio_ffmpeg.__file__).parent / "binaries").glob("ffmpeg-*"))
    return str(found[0]) if found else None


def _inspect(path: Path) -> Binary:
    try:
        said = subprocess.run(  # noqa: S603 - a path that whoever runs Millrace has set
            [path, "-version"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoFfmpeg(f"{path} does not run as ffmpeg: {_reason(error)}") from error
    words = said.split()
    if words[:2] != ["ffmpeg", "version"]:
        raise NoFfmpeg(f"{path} is no ffmpeg: it begins with {said[:40]!r}")
    return Binary(path, f"{words[2][:24]}-{hashlib.sha256(said.encode()).hexdigest()[:12]}")


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it said nothing for {_PATIENCE:g} seconds"
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with code {error.returncode}"
    return getattr(error, "strerror", None) or str(error)
