"""The tools of a job: runs of the real ffmpeg, their progress, limits, interruption and failures."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from media_jobs.errors import (
    BadMedia,
    Cancelled,
    Failure,
    NoRoom,
    ResourceLimit,
    Stalled,
    TimedOut,
    ToolFailed,
    UnfitMedia,
)
from media_jobs.ffmpeg.binary import Binary
from media_jobs.ffmpeg.command import Command, PipeTarget, Source, Target
from media_jobs.ffmpeg.probing.verification import Expected
from media_jobs.ffmpeg.progress import Report
from media_jobs.ffmpeg.sandbox import Limits, Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations.base import Tools
from tests.support import child_programs
from tests.support.ffmpeg_clips import FILM, Make, cut
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.run import command_for
from tests.support.waiting import wait_until

H264 = ("-c:v", "libx264", "-preset", "ultrafast")
MakeBox = Callable[..., Toolbox]


class Watcher:
    """Collects the reports, and cancels the work at a given time."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.stop_at = float("inf")

    def check(self) -> None:
        if time.monotonic() > self.stop_at:
            raise Cancelled


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def make_box(ffmpeg: Binary, sandbox: Sandbox, tmp_path: Path, watcher: Watcher) -> MakeBox:
    folder = tmp_path / "work"
    folder.mkdir()
    return lambda **more: Toolbox(ffmpeg, sandbox, folder, 2, watcher.check, watcher.reports.append, **more)


@pytest.fixture
def box(make_box: MakeBox) -> Toolbox:
    return make_box()


def endless(film: Path, box: Toolbox) -> Command:
    """An encode of many minutes with a small output."""
    slow = ("-filter_complex", "loop=-1:50,scale=1280:-2", "-c:v", "libx264", "-preset", "veryslow")
    return Command([Source(film, "mov")], [Target(box.folder / "out.mkv", slow)])


def test_the_toolbox_implements_the_tools_of_operations(box: Toolbox) -> None:
    tools: Tools = box
    tools.report("Looking")


def test_an_encode_is_run_reported_and_verified(box: Toolbox, film: Path, watcher: Watcher) -> None:
    out = box.folder / "out.mp4"
    box.ffmpeg(Command([Source(film, "mov")], [Target(out, (*H264, "-c:a", "aac"))]), seconds=2.0, frames=50)
    box.verify(out, Expected(duration=2.0, video=1, audio=1, width=320, frames=50))
    assert watcher.reports[-1].message.startswith("Encoded 50 of 50 frames")
    assert 0.9 < (watcher.reports[-1].progress or 0) < 1
    assert box.probe(out).format == "mov"


def test_half_way_the_remaining_time_is_told_within_a_third(box: Toolbox, film: Path) -> None:
    told = list[tuple[float, Report]]()
    box.on_report = lambda report: told.append((time.monotonic(), report))
    # Its pace is that of a clock, and the same on every machine: 2 s of film in 10 s.
    steady = Target(box.folder / "out.mp4", ("-vf", "realtime=speed=0.2", *H264, "-an"))
    box.ffmpeg(Command([Source(film, "mov")], [steady]), seconds=2.0, frames=50)
    ended = time.monotonic()
    then, half = next((at, report) for at, report in told if (report.progress or 0) >= 0.5)
    assert half.eta_seconds == pytest.approx(ended - then, rel=0.3)


def test_commands_are_kept_to_be_copied_without_our_paths(make_box: MakeBox, film: Path) -> None:
    box = make_box(names={film: "holiday.mp4"})
    box.ffmpeg(Command([Source(film, "mov")], [Target(box.folder / "out.mp4", ("-c", "copy"))], threads=64))
    [command] = box.commands
    assert command[0] == "ffmpeg"
    assert "file:holiday.mp4" in command
    assert command[-1] == "file:out.mp4"
    assert command[command.index("-threads") + 1] == "2"
    assert "/" not in "".join(command)


def test_the_output_of_measuring_filters_is_returned(box: Toolbox, film: Path) -> None:
    measure = Target(None, ("-map", "0:a", "-af", "volumedetect"))
    assert "mean_volume" in box.ffmpeg(Command([Source(film, "mov")], [measure], verbose=True), verb="Measured")


def test_a_report_between_runs_may_be_interrupted(box: Toolbox, watcher: Watcher) -> None:
    box.report("Writing the index", 0.5)
    assert watcher.reports == [Report("Writing the index", 0.5)]
    watcher.stop_at = 0
    with pytest.raises(Cancelled):
        box.report("Done")


def test_an_interruption_ends_ffmpeg_at_once(box: Toolbox, film: Path, watcher: Watcher) -> None:
    watcher.stop_at = time.monotonic() + 1
    with pytest.raises(Cancelled):
        box.ffmpeg(endless(film, box))
    assert time.monotonic() - watcher.stop_at < 10  # of many minutes
    wait_until(lambda: not subprocess.run(["pgrep", "-f", str(box.folder)], capture_output=True).stdout)


def test_time_is_limited_for_all_runs_together(make_box: MakeBox, film: Path) -> None:
    box = make_box(timeout=1.0)
    with pytest.raises(TimedOut):
        box.ffmpeg(endless(film, box))


def test_a_stopped_ffmpeg_has_stalled(make_box: MakeBox, film: Path, watcher: Watcher) -> None:
    box = make_box(stall_timeout=6.0)  # longer than its first frames take on a busy machine
    stopped: list[int] = []

    def stop_it() -> None:
        found = subprocess.run(["pgrep", "-f", f"file:{box.folder}"], capture_output=True, text=True).stdout.split()
        if found and watcher.reports and not stopped:
            stopped.append(int(found[0]))
            os.kill(stopped[0], signal.SIGSTOP)

    box.check = stop_it
    with pytest.raises(Stalled, match="no progress for 6 seconds"):
        box.ffmpeg(endless(film, box))
    assert stopped


def test_an_ffmpeg_that_hangs_is_reported_and_stopped_though_it_prints_progress(
    make_box: MakeBox, make: Make, watcher: Watcher
) -> None:
    box, pipe = make_box(stall_timeout=6.0, timeout=30.0), make("film.mkv", *FILM).with_name("pipe")
    os.mkfifo(pipe)
    # For reading, too: ffmpeg must find neither an end nor nobody at the other end, only no more bytes.
    with pipe.open("r+b", buffering=0) as other_end:
        other_end.write(cut(pipe.with_name("film.mkv"), 0.5).read_bytes()[:60_000])
        with pytest.raises(Stalled, match="no progress for 6 seconds"):
            box.ffmpeg(Command([Source(pipe, "matroska")], [Target(box.folder / "out.mkv", H264)]), frames=50)
    silent = [report.message for report in watcher.reports if "no progress" in report.message]
    told = [re.fullmatch(r"Waiting for ffmpeg, no progress for (\d) s: .*", message) for message in silent[-2:]]
    [before, after] = [int(found[1]) for found in told if found]
    assert 2 <= before < after  # each second; a busy machine may miss one
    assert watcher.reports[-1].message == silent[-1]  # its talking does not hide that nothing is new


def test_the_limit_of_processor_time_is_named_though_ffmpeg_exits_by_itself(make_box: MakeBox, film: Path) -> None:
    box = make_box(limits=Limits(cpu_seconds=1))
    with pytest.raises(ResourceLimit, match="processor time"):
        box.ffmpeg(endless(film, box))


def test_the_limit_of_memory_is_told(make_box: MakeBox, film: Path) -> None:
    box = make_box(limits=Limits(address_space=400 << 20))
    large = Target(None, ("-vf", "scale=7680:4320", *H264))
    with pytest.raises(ResourceLimit, match="memory"):
        box.ffmpeg(Command([Source(film, "mov")], [large]))


def test_the_limit_of_a_file_is_told(make_box: MakeBox, film: Path) -> None:
    box = make_box(limits=Limits(file_size=200_000))
    with pytest.raises(ResourceLimit, match="larger than a file may be"):
        box.ffmpeg(Command([Source(film, "mov")], [Target(box.folder / "out.mkv", ("-c:v", "rawvideo", "-an"))]))


def test_an_output_that_would_fill_the_disk_is_stopped_and_the_job_may_be_tried_again(
    make_box: MakeBox, film: Path
) -> None:
    box = make_box(room=200_000)
    with pytest.raises(NoRoom) as raised:
        box.ffmpeg(Command([Source(film, "mov")], [Target(box.folder / "out.mkv", ("-c:v", "rawvideo", "-an"))]))
    assert not raised.value.permanent
    assert (box.folder / "out.mkv").stat().st_size <= 200_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_told(make_box: MakeBox, film: Path) -> None:
    box = make_box()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", box.folder], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        with pytest.raises(NoRoom) as raised:
            box.ffmpeg(Command([Source(film, "mov")], [Target(box.folder / "out.mkv", ("-c:v", "rawvideo"))]))
        assert not raised.value.permanent
    finally:
        subprocess.run(["umount", "-l", box.folder], check=True)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("film.mp4", ("-movflags", "+faststart")), ("film.mp4", ()), ("film.mkv", ()),
        ("film.avi", ("-c:v", "mpeg4")),
        ("film.flv", ("-c:v", "flv1", "-ar", "44100")), ("film.wav", ("-vn", "-c:a", "pcm_s16le")),
    ],
)  # fmt: skip
def test_an_input_that_is_cut_off_fails_though_ffmpeg_exits_with_0(
    name: str, more: tuple[str, ...], box: Toolbox, make: Make
) -> None:
    film = make(name, *FILM, *more)
    format = box.probe(film).format
    box.ffmpeg(Command([Source(film, format)], [Target(None)]))
    with pytest.raises(BadMedia, match="cut off") as raised:
        box.ffmpeg(Command([Source(cut(film, 0.7), format)], [Target(None)]))
    assert raised.value.log


@pytest.mark.parametrize(
    ("target", "error", "reason"),
    [
        (("-map", "0:s"), UnfitMedia, "no stream of the requested kind"),
        (("-vf", "crop=9999:9999"), ToolFailed, "ffmpeg failed: .* size"),
        (("-c:v", "no_such_codec"), ToolFailed, "no_such_codec"),
    ],
)
def test_a_failure_has_a_reason_and_no_path(
    target: tuple[str, ...], error: type[Failure], reason: str, box: Toolbox, film: Path
) -> None:
    with pytest.raises(error, match=reason) as raised:
        box.ffmpeg(Command([Source(film, "mov")], [Target(box.folder / "out.mp4", target)]))
    assert str(box.folder.parent) not in raised.value.detail + raised.value.log + box.log
    assert raised.value.log in box.log


def test_another_demuxer_than_the_pinned_one_is_not_tried(box: Toolbox, make: Make) -> None:
    with pytest.raises(BadMedia):
        box.ffmpeg(Command([Source(make("film.mkv", *FILM), "mov")], [Target(None)]))


def test_kill_9_of_the_worker_ends_ffmpeg_at_once(film: Path, tmp_path: Path) -> None:
    worker = subprocess.Popen(
        command_for(child_programs.encode_for_ever, str(film), str(tmp_path)), cwd=ROOT, env=plain_environment(),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None
    assert b"Encoded" in worker.stdout.readline()
    worker.kill()
    worker.wait()
    wait_until(lambda: not subprocess.run(["pgrep", "-f", f"file:{tmp_path}"], capture_output=True).stdout)


RAW = PipeTarget("s16le", ("-map", "0:a"))


def test_samples_of_a_pipe_are_passed_on_and_counted(box: Toolbox, film: Path, watcher: Watcher) -> None:
    pieces = list[bytes]()
    box.decode(Command([Source(film, "mov")], [RAW]), pieces.append, unit=2 * 44100, seconds=2.0)
    whole = subprocess.run(
        [box.binary.path, "-v", "error", "-i", film, "-map", "0:a", "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    )
    assert b"".join(pieces) == whole.stdout
    assert re.fullmatch(r"Read 0:0\d of 0:02.*", watcher.reports[0].message)
    assert "-progress" not in box.commands[-1]


def test_a_consumer_that_raises_ends_the_run(box: Toolbox, film: Path) -> None:
    def refuse(data: bytes) -> None:
        raise UnfitMedia("Enough.")

    with pytest.raises(UnfitMedia, match="Enough"):
        box.decode(Command([Source(film, "mov")], [RAW]), refuse, unit=1)


def test_a_slow_consumer_is_no_stall(make_box: MakeBox, film: Path) -> None:
    box = make_box(stall_timeout=2.0)
    frames = PipeTarget("rawvideo", ("-map", "0:v", "-frames:v", "3"))
    box.decode(
        Command([Source(film, "mov")], [frames]), lambda data: time.sleep(1.0), unit=320 * 180 * 3 // 2, frames=3
    )


def test_a_failure_of_a_run_with_a_pipe_has_its_reason(box: Toolbox, film: Path) -> None:
    with pytest.raises(BadMedia, match="cut off"):
        box.decode(Command([Source(cut(film, 0.5), "mov")], [RAW]), lambda data: None, unit=1)
