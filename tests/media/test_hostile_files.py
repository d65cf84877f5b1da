"""Hostile media: files that crash programs, read other files, or use up the machine.

Each is refused or contained by the probe and by ffmpeg, with a reason, within 15 seconds and 1 GB.
"""

import os
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from media_jobs.errors import BadMedia, Failure, ResourceLimit, TimedOut, UnfitMedia
from media_jobs.ffmpeg import binary
from media_jobs.ffmpeg.command import Command, Source, Target
from media_jobs.ffmpeg.sandbox import Limits, Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from tests.support.ffmpeg_clips import FILM, LEAP, PICTURE, TONE, make
from tests.support.hostile_media import GB, LURES, ONE_GRAY, SECONDS

SECRET = "the secret of another file"


@pytest.fixture
def box(tmp_path: Path) -> Toolbox:
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "secret.srt").write_text(f"1\n00:00:00,000 --> 00:00:02,000\n{SECRET}\n\n")
    return Toolbox(
        binary.find(), Sandbox.probe(), folder, 2, lambda: None, lambda report: None,
        stall_timeout=10, timeout=14, limits=Limits(cpu_seconds=14, address_space=2 * GB, resident=GB),
    )  # fmt: skip


@contextmanager
def contained() -> Iterator[None]:
    """Check that the block stays within the time limit, and its processes within the memory limit."""
    peak, done = [0], threading.Event()
    others = set(_children())  # the servers and browsers of other tests

    def look() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], sum(_resident(pid) for pid in set(_children()) - others))

    watcher = threading.Thread(target=look)
    watcher.start()
    started = time.monotonic()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert time.monotonic() - started < SECONDS
    assert peak[0] < GB * 1.1  # it is looked at ten times a second, and killed when it is over


def _children() -> list[str]:
    return subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split()


def _resident(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def encode(box: Toolbox, path: Path, format: str, *options: str, max_duration: float = 60.0) -> str:
    options = options or ("-map", "0", "-c:v", "libx264", "-preset", "ultrafast")
    return box.ffmpeg(
        Command([Source(path, format)], [Target(box.folder / "out.mkv", options)], max_duration=max_duration)
    )


# --- files that name other files ---


@pytest.mark.parametrize(
    ("lure", "ending"),
    [
        *((lure, "mp4") for lure in LURES),
        *((lure, "m3u8") for lure in LURES if "HLS" in lure),
        *((lure, "ffconcat") for lure in LURES if "ffconcat" in lure),
    ],
)
def test_a_file_that_names_another_is_refused_whatever_it_is_called(
    lure: str, ending: str, box: Toolbox, tmp_path: Path
) -> None:
    path = write(tmp_path / f"film.{ending}", LURES[lure](str(tmp_path / "secret.srt")))
    with contained(), pytest.raises(BadMedia) as raised:
        box.probe(path)
    assert str(tmp_path) not in raised.value.detail + raised.value.log
    for format in ("mov", "mpegts"):  # and if the probe were wrong, ffmpeg would not follow it either
        with contained(), pytest.raises(Failure):
            encode(box, path, format)
    assert SECRET not in box.log
    assert not any(SECRET.encode() in out.read_bytes() for out in box.folder.iterdir())


def test_a_film_that_keeps_its_frames_in_another_file_does_not_get_them(box: Toolbox, tmp_path: Path) -> None:
    """QuickTime may refer to data elsewhere (dref)."""
    film = make(tmp_path / "film.mov", *PICTURE, "-c:v", "mpeg4")
    other = b"\0\0\0\x0curl \0\0\0\1"  # "in this file"
    alias = b"\0\0\0\x2curl \0\0\0\0" + b"file:///etc/passwd\0".ljust(32, b"\0")
    content = film.read_bytes()
    assert other in content
    broken = write(tmp_path / "elsewhere.mov", content.replace(other, alias[: len(other)]))
    with contained(), suppress(Failure):
        encode(box, broken, box.probe(broken).format)
    assert not any(b"root:" in out.read_bytes() for out in box.folder.iterdir())


@pytest.mark.parametrize("name", ["-x", "i%d.png", "concat:a|b", "a'b\\:c,d;[e].png", "pipe:0", "\u202egnp.exe"])
def test_a_hostile_file_name_is_never_interpreted(name: str, box: Toolbox, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    picture = make(tmp_path / "plain.png", *PICTURE, "-frames:v", "1").rename(folder / name)
    with contained():
        facts = box.probe(picture)
        encode(box, picture, facts.format)
    assert facts.format == "png_pipe"


# --- files that are too much ---


def test_a_frame_of_absurd_size_is_refused(box: Toolbox, tmp_path: Path) -> None:
    huge = make(tmp_path / "huge.png", "-f", "lavfi", "-i", "color=size=16000x8000", *ONE_GRAY)
    with contained(), pytest.raises(UnfitMedia, match="larger than allowed"):
        box.probe(huge)
    with contained(), pytest.raises(UnfitMedia, match="larger than allowed"):
        encode(box, huge, "png_pipe")


def test_a_header_with_an_absurd_size_is_refused(box: Toolbox, tmp_path: Path) -> None:
    """A file of a few bytes that would be 17 GB when decoded."""
    picture = make(tmp_path / "a.png", *PICTURE, "-frames:v", "1").read_bytes()
    lying = write(tmp_path / "lying.png", picture[:16] + struct.pack(">II", 65000, 65000) + picture[24:])
    webp = b"RIFF\x80\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff\xff\xff" * 2 + bytes(100)
    for path in (lying, write(tmp_path / "lying.webp", webp)):
        with contained(), pytest.raises(Failure):
            box.probe(path)
    with contained(), pytest.raises(Failure):
        encode(box, lying, "png_pipe")


def test_hundreds_of_streams_are_refused(box: Toolbox, tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.5")
    many = make(tmp_path / "many.mkv", *sound, *(["-map", "0:a"] * 900), "-c:a", "pcm_u8", "-f", "matroska")
    with contained(), pytest.raises(BadMedia, match="more than 32 streams"):
        box.probe(many)
    with contained():  # ffmpeg itself takes the first 32
        encode(box, many, "matroska", "-map", "0", "-c", "copy")
    assert len(box.probe(box.folder / "out.mkv").audio) == 32


def test_as_many_streams_as_are_allowed_pass(box: Toolbox, tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.5")
    many = make(tmp_path / "many.mkv", *sound, *(["-map", "0:a"] * 32), "-c:a", "pcm_u8", "-f", "matroska")
    assert len(box.probe(many).audio) == 32


def gap_of_a_day(folder: Path, ending: str) -> Path:
    return make(folder / f"gap.{ending}", *PICTURE, "-vf", LEAP, "-fps_mode", "passthrough", "-preset", "ultrafast")


STEADY = ("-fps_mode", "cfr", "-r", "240", "-c:v", "libx264", "-preset", "ultrafast")


def test_a_gap_in_the_timestamps_is_noticed_where_it_is_read(box: Toolbox, tmp_path: Path) -> None:
    gap = gap_of_a_day(tmp_path, "mkv")
    with contained(), pytest.raises(BadMedia, match="jump by more than 6 hours"):
        encode(box, gap, "matroska", *STEADY, max_duration=200_000.0)


def test_a_frame_that_lasts_a_day_is_not_repeated_for_a_day(box: Toolbox, tmp_path: Path) -> None:
    gap = gap_of_a_day(tmp_path, "mp4")
    with contained(), pytest.raises(UnfitMedia, match="repeated more than 648,000 times"):
        encode(box, gap, "mov", *STEADY, max_duration=200_000.0)


def test_it_is_repeated_no_longer_than_an_output_may_be(box: Toolbox, tmp_path: Path) -> None:
    gap = gap_of_a_day(tmp_path, "mp4")
    with contained():
        facts = box.probe(gap)
        encode(box, gap, facts.format, "-vf", "fps=25", "-c:v", "libx264", "-preset", "ultrafast")
    assert facts.duration == pytest.approx(100_000, rel=0.01)
    assert box.probe(box.folder / "out.mkv").duration == pytest.approx(60, abs=1)


def test_a_gap_filled_with_frames_meets_the_limit_of_memory_or_of_time(box: Toolbox, tmp_path: Path) -> None:
    box.limits = Limits(cpu_seconds=14, address_space=2 * GB, resident=GB // 3)
    gap = gap_of_a_day(tmp_path, "mp4")
    # On a machine that is busy with tests the frames come so slowly that time is up first.
    with contained(), pytest.raises((ResourceLimit, TimedOut), match=r"memory|not finish|processor time"):
        encode(box, gap, "mov", "-vf", "fps=1000", "-c:v", "libx264", max_duration=86400.0)


def test_drawtext_reads_no_file_that_the_text_names(box: Toolbox, tmp_path: Path) -> None:
    """The text of users is written to a file, and drawn without expansion."""
    film = make(tmp_path / "film.mp4", *FILM)
    write(box.folder / "text.txt", f"':textfile={tmp_path / 'secret.srt'}:x=' %{{localtime}} \\' ;[a]")
    with contained():
        options = ("-vf", "drawtext=textfile=text.txt:expansion=none", "-frames:v", "5", "-c:v", "libx264")
        encode(box, film, "mov", *options)


# --- files that lie ---


SOUND = (*TONE, "-c:a")


@pytest.mark.parametrize(
    ("ending", "arguments"),
    [
        ("mp4", FILM), ("mkv", FILM), ("ts", FILM), ("avi", (*FILM, "-c:v", "mpeg4")), ("ogg", (*SOUND, "libopus")),
        ("flac", (*SOUND, "flac")), ("mp3", (*SOUND, "libmp3lame")), ("wav", (*SOUND, "pcm_s16le")),
    ],
)  # fmt: skip
def test_damage_anywhere_gives_a_failure_or_a_valid_output(
    ending: str, arguments: tuple[str, ...], box: Toolbox, tmp_path: Path
) -> None:
    content = bytearray(make(tmp_path / f"film.{ending}", *arguments).read_bytes())
    for place in range(200, len(content), 97):
        content[place] ^= 0x5A
    damaged = write(tmp_path / "damaged", bytes(content))
    with contained(), suppress(Failure):
        format = box.probe(damaged).format
        encode(box, damaged, format)


@pytest.mark.parametrize(
    "head",
    [
        b"\x1aE\xdf\xa3\x01" + b"\xff" * 7,
        b"RIFF\xff\xff\xff\xffAVI LIST",
        b"OggS",
        b"fLaC",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x01moov" + b"\xff" * 8,
        b"\x47" * 188,
        b"GIF89a\xff\xff\xff\xff\xf7\0\0",
    ],
)
def test_a_header_without_content_is_refused_in_time(head: bytes, box: Toolbox, tmp_path: Path) -> None:
    with contained(), pytest.raises(Failure):
        box.probe(write(tmp_path / "file", head + b"\xff\0" * 50_000))
