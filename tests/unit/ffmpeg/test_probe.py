"""The probe: the facts of a file, or the reason why it cannot be read."""

import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from media_jobs.errors import BadMedia, Cancelled, Internal
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from tests.support import child_programs
from tests.support.ffmpeg_clips import FILM, PICTURE, TONE, Make, cut
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.processes import children, kill
from tests.support.run import command_for, result_of

ONE = ("-frames:v", "1")
Look = Callable[[Path], Facts]


@pytest.fixture
def look(sandbox: Sandbox) -> Look:
    return lambda path: probe(path, sandbox)


def test_a_film_tells_its_streams(look: Look, film: Path) -> None:
    facts = look(film)
    assert facts.format == "mov"
    assert facts.duration == pytest.approx(2, abs=0.05)
    assert facts.bit_rate == pytest.approx(film.stat().st_size * 4, rel=0.05)
    [picture], [sound] = facts.video, facts.audio
    assert (picture.codec, picture.width, picture.height, picture.fps) == ("h264", 320, 180, 25.0)
    assert (picture.frames, picture.pixel_format, picture.bit_depth) == (50, "yuv420p", 8)
    assert (picture.rotation, picture.hdr, picture.is_variable, picture.is_picture) == (0, "", False, False)
    assert (sound.codec, sound.channels, sound.layout, sound.sample_rate) == ("aac", 1, "mono", 44100)


def test_the_container_tells_a_duration_that_streams_do_not(look: Look, make: Make) -> None:
    facts = look(make("film.mkv", *FILM))
    assert facts.format == "matroska"
    assert facts.duration == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_a_rotated_video_has_its_displayed_size(clockwise: int, look: Look, make: Make, film: Path) -> None:
    turned = make("turned.mp4", "-display_rotation", str(-clockwise), "-i", str(film), "-c", "copy")
    [picture] = look(turned).video
    assert picture.rotation == clockwise
    assert (picture.width, picture.height) == ((320, 180) if clockwise == 180 else (180, 320))
    assert (picture.coded_width, picture.coded_height) == (320, 180)


def test_wide_pixels_count_in_the_displayed_size(look: Look, make: Make) -> None:
    [picture] = look(make("wide.mp4", *PICTURE, "-vf", "setsar=2", "-pix_fmt", "yuv420p")).video
    assert (picture.width, picture.height, picture.coded_width) == (640, 180, 320)


@pytest.mark.parametrize(("transfer", "hdr"), [("smpte2084", "pq"), ("arib-std-b67", "hlg"), ("bt709", "")])
def test_high_dynamic_range_is_seen(transfer: str, hdr: str, look: Look, make: Make) -> None:
    encoder = f"-c:v libx265 -preset ultrafast -x265-params log-level=none:transfer={transfer} -pix_fmt yuv420p10le"
    [picture] = look(make("hdr.mp4", *PICTURE, *encoder.split(), "-color_trc", transfer)).video
    assert (picture.hdr, picture.bit_depth) == (hdr, 10)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_frames_at_no_steady_rate_are_seen(name: str, look: Look, make: Make) -> None:
    uneven = ("-vf", "select='not(mod(n,2))+not(mod(n,3))'", "-fps_mode", "vfr", "-pix_fmt", "yuv420p")
    assert look(make(name, *PICTURE, *uneven)).video[0].is_variable


@pytest.mark.parametrize("rate", ["24000/1001", "29.97", "50"])
def test_rounded_timestamps_are_a_steady_rate(rate: str, look: Look, make: Make) -> None:
    [picture] = look(make("film.mkv", *PICTURE, "-r", rate)).video
    assert not picture.is_variable


def test_cover_art_is_not_a_video(look: Look, make: Make) -> None:
    sound, cover = make("sound.mp3", *TONE), make("cover.png", *PICTURE, *ONE)
    song = make("song.mp3", "-i", str(sound), "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy",
                "-disposition:v", "attached_pic", "-metadata", "title=A \x1b[31msong\x1b[0m")  # fmt: skip
    facts = look(song)
    assert [stream.is_picture for stream in facts.video] == [True]
    assert facts.picture is None
    assert facts.title == "A song"


@pytest.mark.parametrize(
    ("name", "encoder", "format"),
    [("a.png", "png", "png_pipe"), ("a.jpg", "mjpeg", "jpeg_pipe"), ("a.webp", "libwebp", "webp_pipe")],
)
def test_pictures_have_a_size_and_no_duration(name: str, encoder: str, format: str, look: Look, make: Make) -> None:
    facts = look(make(name, *PICTURE, *ONE, "-c:v", encoder))
    assert (facts.format, facts.duration, facts.video[0].fps) == (format, None, None)
    assert (facts.video[0].width, facts.video[0].height) == (320, 180)


def test_moving_pictures_are_told(look: Look, make: Make) -> None:
    assert look(make("a.gif", *PICTURE, "-r", "5")).duration == pytest.approx(2.2, abs=0.3)
    facts = look(make("a.webp", *PICTURE, "-r", "5", "-c:v", "libwebp_anim"))
    assert (facts.format, facts.video[0].width, facts.video[0].height) == ("webp_anim", 320, 180)


@pytest.mark.parametrize(("text", "format", "codec"), [
    ("1\n00:00:01,000 --> 00:00:02,500\nHallo\n\n", "srt", "subrip"),
    ("WEBVTT\n\n00:01.000 --> 00:02.500\nHallo\n", "webvtt", "webvtt"),
])  # fmt: skip
def test_subtitles_are_told(text: str, format: str, codec: str, look: Look, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    facts = look(tmp_path / "file")
    assert facts.format == format
    assert [stream.codec for stream in facts.subtitles] == [codec]


def test_languages_are_told(look: Look, make: Make) -> None:
    film = make("film.mkv", *FILM, "-metadata:s:a:0", "language=ger")
    assert look(film).audio[0].language == "ger"


@pytest.mark.parametrize("name", ["%d.png", "-i", "concat:a|b", "a'b\\c\nd.png"])
def test_a_file_name_is_never_interpreted(name: str, look: Look, make: Make) -> None:
    picture = make("a.png", *PICTURE, *ONE)
    assert look(picture.rename(picture.with_name(name))).format == "png_pipe"


def test_the_file_extension_is_ignored(look: Look, make: Make) -> None:
    film = make("film.mkv", *FILM)
    assert look(film.rename(film.with_name("film.m3u8"))).format == "matroska"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"Dear all,\nthe film is ready.\n" * 50, "cannot be decoded: it is damaged"),
        (random.Random(1).randbytes(5000), "cannot be decoded: it is damaged"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(5000), "index is missing"),
    ],
)
def test_what_is_no_media_is_refused_with_a_reason(content: bytes, reason: str, look: Look, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadMedia, match=reason) as raised:
        look(tmp_path / "file")
    assert str(tmp_path) not in raised.value.detail + raised.value.log


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_half_a_picture_is_refused(name: str, look: Look, make: Make) -> None:
    with pytest.raises(BadMedia, match=r"cut off|damaged"):
        look(cut(make(name, *PICTURE, *ONE), 0.5))


def test_a_film_without_its_index_is_refused(look: Look, make: Make) -> None:
    with pytest.raises(BadMedia, match="index is missing"):
        look(cut(make("film.mp4", *FILM), 0.8))


def test_a_pipe_is_refused_at_once(look: Look, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadMedia, match="not a file"):
        look(tmp_path / "pipe")


def test_it_can_be_interrupted(sandbox: Sandbox, film: Path) -> None:
    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        probe(film, sandbox, check=check)


def test_it_is_quick(look: Look, film: Path) -> None:
    started = time.monotonic()
    look(film)
    assert time.monotonic() - started < 10  # 0.1 on an idle machine


def test_the_parent_process_does_not_load_ffmpegs_libraries() -> None:
    asked = subprocess.run(
        command_for(child_programs.toolbox_loads_pyav), cwd=ROOT, env=plain_environment(), stdout=subprocess.PIPE,
        text=True, check=True,
    )  # fmt: skip
    assert result_of(asked.stdout) is False


def test_a_killed_probe_is_not_the_files_fault(sandbox: Sandbox, film: Path) -> None:
    done = threading.Event()

    others = set(children(os.getpid()))  # the servers and browsers of other tests

    def kill_whatever_we_start() -> None:
        while not done.wait(0.002):
            kill(*set(children(os.getpid())) - others)

    killer = threading.Thread(target=kill_whatever_we_start)
    killer.start()
    try:
        with pytest.raises(Internal, match="killed from outside"):
            probe(film, sandbox)
    finally:
        done.set()
        killer.join()
