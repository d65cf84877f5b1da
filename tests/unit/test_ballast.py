"""The file that takes up room until the disk is full, and what is tried again when it is released."""

import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from tests.support.small_disks import MIB, fill, filler, small_disk
from uploads.runtime.ballast_file import Ballast
from uploads.runtime.database_connections import frees_space
from uploads.transfers import disk_space

SIZE = 256 * 1024


def plenty() -> int:
    return sys.maxsize


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def ballast(tmp_path: Path) -> Ballast:
    made = Ballast(tmp_path / "ballast", SIZE)
    assert made.keep(plenty) == 1
    return made


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Ballast]:
    with small_disk(tmp_path, 16 * MIB) as disk:
        yield Ballast(disk / "ballast", 64 * MIB)


def test_it_takes_real_blocks_which_nobody_else_may_read(ballast: Ballast) -> None:
    assert (ballast.held, ballast.is_released) == (SIZE, False)
    assert blocks(ballast.path) >= SIZE
    assert ballast.path.stat().st_mode & 0o777 == 0o600
    assert ballast.keep(plenty) == 0


def test_it_takes_real_blocks_where_the_filesystem_keeps_none_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    made = Ballast(tmp_path / "ballast", SIZE)
    assert made.keep(plenty) == 1
    assert (made.held, blocks(made.path) >= SIZE) == (SIZE, True)


def test_its_halves_are_released_once_each(ballast: Ballast) -> None:
    assert (ballast.release(), ballast.held, ballast.is_released) == (True, SIZE // 2, True)
    assert (ballast.release(), ballast.held) == (False, SIZE // 2)
    assert (ballast.release(everything=True), ballast.held, ballast.is_released) == (True, 0, True)
    assert ballast.release(everything=True) is False


def test_it_follows_its_setting(ballast: Ballast) -> None:
    smaller = Ballast(ballast.path, SIZE // 2)
    smaller.keep(plenty)
    assert (smaller.held, smaller.is_released) == (SIZE // 2, False)
    ballast.keep(plenty)
    assert ballast.held == SIZE
    none = Ballast(ballast.path, 0)
    none.keep(plenty)
    assert (none.held, none.is_released, none.release(everything=True)) == (None, False, False)


def test_uploads_are_not_refused_because_of_it(ballast: Ballast) -> None:
    ballast.release(everything=True)
    assert ballast.keep(lambda: 2 * SIZE - 1) == 0
    assert ballast.keep(lambda: 0) == 1  # they are refused already
    ballast.release(everything=True)
    assert ballast.keep(lambda: 2 * SIZE) == 1


def test_on_a_small_disk_it_is_small_and_is_made_again_only_when_there_is_room(on_small_disk: Ballast) -> None:
    assert on_small_disk.keep(plenty) == 1
    size, disk = on_small_disk.size, on_small_disk.path.parent
    assert MIB // 2 < size <= 16 * MIB // 20
    fill(disk)
    assert on_small_disk.is_low
    assert (on_small_disk.keep(plenty), on_small_disk.held) == (1, size // 2)
    assert not on_small_disk.is_low
    os.truncate(filler(disk), filler(disk).stat().st_size - 2 * size)
    assert (on_small_disk.keep(plenty), on_small_disk.held) == (0, size // 2)
    filler(disk).unlink()
    assert (on_small_disk.keep(plenty), on_small_disk.held) == (1, size)


def test_a_disk_that_is_full_when_it_is_to_be_made_gets_none(on_small_disk: Ballast) -> None:
    fill(on_small_disk.path.parent)
    assert on_small_disk.keep(plenty) == 0
    assert on_small_disk.held is None


def test_uploads_and_jobs_leave_what_it_lacks(ballast: Ballast, tmp_path: Path) -> None:
    assert ballast.reserve(tmp_path) == SIZE // 4
    ballast.release(everything=True)
    assert ballast.reserve(tmp_path) == SIZE
    ballast.path.unlink()
    assert ballast.reserve(tmp_path) == 0  # it was never made


# What is tried again


@pytest.fixture
def of_settings(settings: Any, tmp_path: Path) -> Ballast:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media", ballast=SIZE)
    (tmp_path / "media").mkdir()
    made = Ballast(tmp_path / "ballast", SIZE)
    made.keep(plenty)
    return made


def test_a_verb_that_frees_room_is_tried_again_with_half_of_it_and_with_all_of_it(of_settings: Ballast) -> None:
    of_settings.release()  # as the first write that failed did
    held = list[int | None]()

    @frees_space
    def delete(name: str) -> str:
        held.append(of_settings.held)
        if of_settings.held:
            raise OperationalError("database or disk is full")
        return f"{name} is gone"

    assert delete("a") == "a is gone"
    assert held == [SIZE // 2, SIZE // 2, 0]


def test_a_database_that_fails_for_another_reason_releases_nothing(of_settings: Ballast) -> None:
    @frees_space
    def delete() -> None:
        raise OperationalError("database is locked")

    with pytest.raises(OperationalError):
        delete()
    assert of_settings.held == SIZE


def test_the_floor_is_what_the_ballast_needs_where_that_is_more(of_settings: Ballast, settings: Any) -> None:
    assert disk_space.floor() == SIZE // 4
    of_settings.release(everything=True)
    assert disk_space.floor() == SIZE
    settings.UPLOADS = replace(settings.UPLOADS, min_free=SIZE + 1)
    assert disk_space.floor() == SIZE + 1
