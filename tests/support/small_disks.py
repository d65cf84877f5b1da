"""Small disks, to be filled. They need root, and a machine that lets us mount them."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024**2


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of `size` bytes in `folder`: ext4 on a loop device, or tmpfs where there is none."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root and mount")
    disk, image = folder / "disk", folder / "image"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    is_ext4 = _done("mkfs.ext4", "-q", "-m", "0", str(image)) and _done("mount", "-o", "loop", str(image), str(disk))
    if not is_ext4 and not _done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)):
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        image.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder as the kernel leaves a disk that had an error: all can be read, and nothing written."""
    if os.geteuid() or not _done("mount", "--bind", str(folder), str(folder)):
        pytest.skip("mounting a folder read-only needs root, and a machine that lets us")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _done(*words: str) -> bool:
    has_it = shutil.which(words[0]) is not None
    return has_it and subprocess.run(words, capture_output=True, check=False).returncode == 0


def filler(disk: Path) -> Path:
    return disk / "filler"


def fill(disk: Path) -> None:
    """Until not one byte more can be written."""
    for size in (MIB, 4096, 1):
        with contextlib.suppress(OSError), filler(disk).open("ab", buffering=0) as file:
            while file.write(bytes(size)):
                pass


def fill_but(disk: Path, left: int) -> None:
    """Write until only this many bytes are free."""
    found = os.statvfs(disk)
    with filler(disk).open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - left)


@contextmanager
def disk_at(folder: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes at `folder`, which may be larger than the machine: it takes what is written to it."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a disk needs root and mount")
    if not _done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("this machine does not let us mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
