"""Which ffmpeg is found, by the setting, in the wheel or in PATH; and the name of its build."""

from pathlib import Path

import pytest

from media_jobs.ffmpeg import binary
from media_jobs.ffmpeg.binary import NoFfmpeg


def fake(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


def test_the_wheel_is_found_by_default_and_has_a_short_stable_build() -> None:
    found = binary.find()
    assert found.path.is_file()
    assert found == binary.find("wheel") == binary.find("")
    assert len(found.build) < 40
    assert "/" not in found.build
    assert " " not in found.build


def test_a_setting_names_a_path_or_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = fake(tmp_path / "my-ffmpeg", "echo ffmpeg version 1.2.3")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert binary.find(str(mine)).path == mine
    assert binary.find("my-ffmpeg").build.startswith("1.2.3-")


def test_another_configuration_is_another_build(tmp_path: Path) -> None:
    one = fake(tmp_path / "one", "echo ffmpeg version 7; echo configuration: --enable-gpl")
    other = fake(tmp_path / "other", "echo ffmpeg version 7; echo configuration: --enable-libx265")
    assert binary.find(str(one)).build != binary.find(str(other)).build


def test_path_is_where_to_look_when_the_wheel_brings_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "ffmpeg", "echo ffmpeg version 5.1")
    monkeypatch.setattr("imageio_ffmpeg.__file__", str(tmp_path / "gone" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    binary._find.cache_clear()
    try:
        assert binary.find().path == tmp_path / "ffmpeg"
    finally:
        binary._find.cache_clear()


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ("exit 3", "ended with exit code 3"),
        ("echo hello", "is not ffmpeg: its answer to -version begins with 'hello"),
        (None, "No such file"),
    ],
)
def test_what_does_not_run_as_ffmpeg_is_refused_by_name(says: str | None, complaint: str, tmp_path: Path) -> None:
    path = fake(tmp_path / "tool", says) if says else tmp_path / "nothing"
    with pytest.raises(NoFfmpeg, match=complaint) as raised:
        binary.find(str(path))
    assert str(path) in str(raised.value)


def test_without_any_the_error_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imageio_ffmpeg.__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    binary._find.cache_clear()
    try:
        with pytest.raises(NoFfmpeg, match="none is in PATH"):
            binary.find()
    finally:
        binary._find.cache_clear()
