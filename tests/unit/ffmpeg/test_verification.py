"""The verification of outputs, packet by packet."""

from dataclasses import replace
from pathlib import Path

import pytest

from media_jobs.errors import OutputInvalid
from media_jobs.ffmpeg.probing.verification import Expected, verify
from media_jobs.ffmpeg.sandbox import Sandbox
from tests.support.ffmpeg_clips import FILM, PICTURE, TONE, Make, cut

AS_IS = Expected(duration=2.0, video=1, audio=1, width=320, height=180, frames=50)


def test_an_output_as_expected_returns_its_facts(film: Path, sandbox: Sandbox) -> None:
    facts = verify(film, AS_IS, sandbox)
    assert facts.video[0].frames == 50
    assert verify(film, Expected(video=1, audio=1), sandbox) == facts


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"duration": 3.0}, r"it lasts 2\.\d+ seconds instead of 3.00"),
        ({"video": 2}, "video streams: 1 instead of 2"),
        ({"audio": 0}, "audio streams: 1 instead of 0"),
        ({"width": 640}, "its width is 320 instead of 640"),
        ({"height": 90}, "its height is 180 instead of 90"),
        ({"frames": 51}, "frames: 50 instead of 51"),
    ],
)
def test_each_difference_is_named(other: dict[str, float], complaint: str, film: Path, sandbox: Sandbox) -> None:
    with pytest.raises(OutputInvalid, match=complaint):
        verify(film, replace(AS_IS, **other), sandbox)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("film.mp4", ("-movflags", "+faststart")),
        ("film.mp4", ("-movflags", "+frag_keyframe+empty_moov")),
        ("film.mkv", ()),
        ("film.webm", ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")),
    ],
)
def test_a_cut_output_is_never_valid_whatever_its_header_says(
    name: str, more: tuple[str, ...], sandbox: Sandbox, make: Make
) -> None:
    film = make(name, *FILM, *more)
    verify(film, AS_IS, sandbox)
    with pytest.raises(OutputInvalid):
        verify(cut(film, 0.7), AS_IS, sandbox)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_small_cut_is_noticed_by_the_errors_of_ffmpeg(name: str, sandbox: Sandbox, make: Make) -> None:
    film = make(name, *FILM, "-movflags", "+faststart")
    with pytest.raises(OutputInvalid, match=r"ffmpeg reports: .*(ended prematurely|partial file)"):
        verify(cut(film, 0.98), Expected(duration=2.0, video=1, audio=1), sandbox)


@pytest.mark.parametrize("name", ["sound.mp3", "sound.m4a", "sound.opus", "sound.flac", "sound.wav"])
def test_sound_is_counted(name: str, sandbox: Sandbox, make: Make) -> None:
    sound = make(name, *TONE)
    verify(sound, Expected(duration=2.0, audio=1), sandbox)
    with pytest.raises(OutputInvalid):
        verify(cut(sound, 0.5), Expected(duration=2.0, audio=1), sandbox)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_picture_is_decoded(name: str, sandbox: Sandbox, make: Make) -> None:
    picture = make(name, *PICTURE, "-frames:v", "1")
    verify(picture, Expected(video=1, width=320, height=180), sandbox)
    with pytest.raises(OutputInvalid):
        verify(cut(picture, 0.5), Expected(video=1, width=320, height=180), sandbox)


def test_timestamps_that_go_backwards_are_seen(sandbox: Sandbox, make: Make) -> None:
    once = make("film.ts", *PICTURE)
    film = once.with_name("twice.ts")
    film.write_bytes(once.read_bytes() * 2)
    with pytest.raises(OutputInvalid, match="go backwards"):
        verify(film, Expected(video=1), sandbox)


@pytest.mark.parametrize("content", [None, b"", b"no film"])
def test_an_empty_or_missing_output_is_invalid(content: bytes | None, sandbox: Sandbox, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "out.mp4").write_bytes(content)
    with pytest.raises(OutputInvalid, match=r"^out.mp4"):
        verify(tmp_path / "out.mp4", Expected(video=1), sandbox)
