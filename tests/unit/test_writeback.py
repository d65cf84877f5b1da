"""Write-back: content is pushed out to the disk while it is written."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from uploads.sinks.local import writeback
from uploads.sinks.local.writeback import WINDOW, WriteBack


@pytest.fixture
def content() -> bytes:
    return random.Random(1).randbytes(5 * WINDOW + 12_345)


def write_steadily(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        back, offset = WriteBack(fd, 0), 0
        while offset < len(content):
            offset += os.write(fd, content[offset : offset + 3_000_000])
            back.wrote(offset)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def test_write_back_leaves_the_content_as_it_is(tmp_path: Path, content: bytes) -> None:
    write_steadily(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


def test_without_sync_file_range_the_content_is_the_same(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writeback, "_sync_file_range", None)
    write_steadily(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


def test_where_there_is_no_linux_there_is_no_write_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert writeback._find_sync_file_range() is None


@dataclass
class Pushes:
    calls: list[tuple[int, int]]

    def __call__(self, fd: int, offset: int, size: int, flags: int) -> int:
        assert size == WINDOW
        self.calls.append((offset, flags))
        return 0


def test_each_window_is_pushed_out_once_and_waited_for_one_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = Pushes([])
    monkeypatch.setattr(writeback, "_sync_file_range", pushes)
    with (tmp_path / "file").open("wb") as file:
        back = WriteBack(file.fileno(), 0)
        for offset in (1000, WINDOW - 1, WINDOW, WINDOW + 1, 4 * WINDOW - 1):
            back.wrote(offset)
    pushed = [offset for offset, flags in pushes.calls if flags == writeback._WRITE]
    waited = [offset for offset, flags in pushes.calls if flags != writeback._WRITE]
    assert pushed == [0, WINDOW, 2 * WINDOW]
    assert waited == [0, WINDOW]


def test_a_resumed_file_is_pushed_out_from_the_window_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = Pushes([])
    monkeypatch.setattr(writeback, "_sync_file_range", pushes)
    with (tmp_path / "file").open("wb") as file:
        WriteBack(file.fileno(), 3 * WINDOW + 5).wrote(4 * WINDOW + 5)
    assert (3 * WINDOW, writeback._WRITE) in pushes.calls


def test_what_cannot_be_pushed_out_is_no_failure() -> None:
    reading, writing = os.pipe()  # a pipe cannot be pushed anywhere
    WriteBack(writing, 0).wrote(4 * WINDOW)
    os.close(reading)
    os.close(writing)
