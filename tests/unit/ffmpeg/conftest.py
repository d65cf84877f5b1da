"""The real ffmpeg and sandbox, and videos that are made once for each test process."""

from pathlib import Path

import pytest

from media_jobs.ffmpeg import binary
from media_jobs.ffmpeg.binary import Binary
from media_jobs.ffmpeg.sandbox import Sandbox
from tests.support import ffmpeg_clips


@pytest.fixture(scope="session")
def ffmpeg() -> Binary:
    return binary.find()


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return Sandbox.probe("on")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 50 frames, with sound; the index stands first."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return ffmpeg_clips.make(path, *ffmpeg_clips.FILM, "-movflags", "+faststart")


@pytest.fixture
def make(tmp_path: Path) -> ffmpeg_clips.Make:
    """`make("name.mkv", *arguments)` makes a file with the real ffmpeg."""
    return lambda name, *arguments: ffmpeg_clips.make(tmp_path / name, *arguments)
