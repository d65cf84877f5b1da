"""Landlock keeps ffmpeg and the probe from opening other files. The attempts are made by the real ffmpeg.

Each test also tries the same without the sandbox, where it succeeds: otherwise the test could not fail.
"""

import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from media_jobs.errors import Failure, Internal
from media_jobs.ffmpeg import binary, landlock
from media_jobs.ffmpeg import sandbox as module
from media_jobs.ffmpeg.command import Command, Source, Target
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.process import Watch, run
from media_jobs.ffmpeg.sandbox import OWN_FILES, Files, Limits, Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from tests.support import child_programs
from tests.support.ffmpeg_clips import FILM, make
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.run import command_for, result_of

SECRET = "the secret of another file"
LINES = "1\n00:00:00,000 --> 00:00:02,000\n{}\n\n"


@pytest.fixture
def on() -> Sandbox:
    sandbox = Sandbox.probe("on", binary.find().path)
    if not sandbox.confines_files:
        pytest.skip(f"this kernel cannot confine a process to files: {sandbox.layers[-1].why}")
    return sandbox


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder with the video of a job, another file, and a database."""
    (tmp_path / "work").mkdir()
    make(tmp_path / "film.mp4", *FILM)
    (tmp_path / "other.srt").write_text(LINES.format(SECRET))
    (tmp_path / "db.sqlite3").write_text(LINES.format("a session"))
    return tmp_path


def box(store: Path, sandbox: Sandbox) -> Toolbox:
    return Toolbox(binary.find(), sandbox, store / "work", 1, lambda: None, lambda report: None)


def encode(store: Path, sandbox: Sandbox, *options: str, to: Path | None = None) -> None:
    """Run ffmpeg on film.mp4 with options that name another file, as an exploit of ffmpeg would."""
    target = Target(to or store / "work" / "out.mkv", options)
    box(store, sandbox).ffmpeg(Command([Source(store / "film.mp4", "mov")], [target]))


@pytest.mark.parametrize("name", ["other.srt", "db.sqlite3", "/etc/passwd", "work/../other.srt"])
def test_it_reads_no_file_but_its_inputs(name: str, store: Path, on: Sandbox) -> None:
    draw = ("-vf", f"drawtext=textfile={store / name}:expansion=none", "-frames:v", "1")
    encode(store, Sandbox.probe("off"), *draw)
    with pytest.raises(Failure):
        encode(store, on, *draw)


def test_a_link_in_its_folder_leads_to_no_other_file(store: Path, on: Sandbox) -> None:
    (store / "work" / "link.srt").symlink_to(store / "other.srt")
    draw = ("-vf", "drawtext=textfile=link.srt:expansion=none", "-frames:v", "1")
    encode(store, Sandbox.probe("off"), *draw)
    with pytest.raises(Failure):
        encode(store, on, *draw)


def test_it_lists_no_folder_but_its_own(store: Path, on: Sandbox) -> None:
    """With a shell, because ffmpeg has no option for it: an exploit of ffmpeg can run any code."""
    look = ["/bin/sh", "-c", f"echo {store}/*"]
    files = Files([store / "film.mp4"], [store / "work"])
    heard: list[str] = []
    for each in (Sandbox.probe("off"), on):
        run(
            look, sandbox=each, limits=Limits(), folder=store / "work", files=files, watch=Watch(on_line=heard.append)
        )
    assert ["db.sqlite3" in line for line in heard] == [True, False]


@pytest.mark.parametrize("name", ["stray.mkv", "other.srt"])
def test_it_writes_nowhere_but_into_its_folder(name: str, store: Path, on: Sandbox) -> None:
    before = (store / name).read_bytes() if (store / name).exists() else None
    one = ("-frames:v", "1", "-an", "-f", "matroska")
    with pytest.raises(Failure, match="Permission denied"):
        encode(store, on, *one, to=store / name)
    assert before == ((store / name).read_bytes() if (store / name).exists() else None)
    encode(store, Sandbox.probe("off"), *one, to=store / name)


def test_the_input_cannot_be_changed(store: Path, on: Sandbox) -> None:
    (store / "again.mp4").hardlink_to(store / "film.mp4")  # ffmpeg itself refuses the same name
    before = (store / "film.mp4").read_bytes()
    with pytest.raises(Failure, match="Permission denied"):
        encode(store, on, "-f", "matroska", to=store / "again.mp4")
    assert (store / "film.mp4").read_bytes() == before


def test_everything_that_jobs_need_is_allowed(store: Path, on: Sandbox) -> None:
    """An input by a symbolic link, as workers give it; two passes with a file between; text with a font; codecs."""
    (store / "work" / "input0").symlink_to(store / "film.mp4")
    tools, source = box(store, on), Source(store / "work" / "input0", "mov")
    for codec in ("libx264", "libx265", "libvpx-vp9", "libsvtav1"):
        tools.ffmpeg(Command([source], [Target(store / "work" / f"{codec}.mkv", ("-c:v", codec, "-c:a", "libopus"))]))
        assert tools.probe(store / "work" / f"{codec}.mkv").video
    for number in ("1", "2"):
        passes = ("-c:v", "libvpx-vp9", "-b:v", "100k", "-pass", number, "-passlogfile", str(store / "work" / "log"))
        tools.ffmpeg(Command([source], [Target(store / "work" / "out.webm", passes)]))
    (store / "work" / "text.txt").write_text("words")
    drawn = ("-vf", "drawtext=textfile=text.txt:expansion=none", "-frames:v", "1")
    tools.ffmpeg(Command([source], [Target(store / "work" / "out.png", drawn)]))


def ended(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, env=plain_environment(), capture_output=True, text=True, check=False)


def test_the_probe_opens_nothing_but_the_file(store: Path, on: Sandbox) -> None:
    """The test calls `main` and then acts as an exploit would."""
    film = str(store / "film.mp4")
    others = [(film, "rb"), (str(store / "other.srt"), "rb"), ("stray", "wb")]
    done = ended(command_for(child_programs.probe_and_open, film, others))
    assert done.returncode == 0, done.stderr
    assert result_of(done.stdout) == ["opened", "refused", "refused"]
    assert probe(store / "film.mp4", on).video


@pytest.mark.parametrize("version", range(1, 8))
def test_an_older_kernel_is_asked_only_for_rights_that_it_knows(version: int, store: Path, on: Sandbox) -> None:
    """A newer kernel accepts the rules for an older one."""
    if version > landlock.version():
        pytest.skip("this kernel is older")
    film, other = str(store / "film.mp4"), str(store / "other.srt")
    told = ended(command_for(child_programs.open_under_older_landlock, version, film, other))
    assert told.stderr.splitlines()[-1].startswith("PermissionError: [Errno 13]")
    assert "other.srt" in told.stderr.splitlines()[-1]


def test_it_reaches_no_server_even_where_the_network_cannot_be_taken_away(store: Path, on: Sandbox) -> None:
    if landlock.version() < 4:
        pytest.skip("this Landlock does not know TCP")
    with socket.create_server(("127.0.0.1", 0)) as server:
        refused = ended(command_for(child_programs.connect_under_landlock, server.getsockname()[1]))
    assert "PermissionError" in refused.stderr


def test_a_program_that_does_not_start_under_landlock_runs_without_it_and_the_layer_says_so(tmp_path: Path) -> None:
    """Such as a script whose interpreter is in an unusual folder."""
    shell = shutil.copy("/bin/sh", tmp_path / "shell")
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!{shell}\nexit 0\n")
    script.chmod(0o755)
    poor = Sandbox.probe("on", script)
    layer = next(layer for layer in poor.layers if layer.name == OWN_FILES)
    assert not layer.holds
    assert "does not start: [error] landlock: [Errno 13]" in layer.why
    assert run([str(script)], sandbox=poor, limits=Limits(), folder=tmp_path, files=Files()).code == 0


def test_a_kernel_without_landlock_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a system call that no kernel has answers as an old kernel does."""
    monkeypatch.setattr(landlock, "_CREATE_RULESET", 4095)
    module._probe.cache_clear()
    try:
        layer = next(layer for layer in Sandbox.probe("on").layers if layer.name == OWN_FILES)
        assert (layer.holds, layer.why) == (False, "this kernel has no Landlock: Function not implemented")
    finally:
        module._probe.cache_clear()


def test_a_file_is_not_blamed_when_its_probe_could_not_be_confined(
    store: Path, on: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Landlock allows sixteen nested layers: one more fails."""
    command = shlex.join(command_for(child_programs.probe_under_many_confinements))
    python = store / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {command} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(Internal, match="could not be confined"):
        probe(store / "film.mp4", on)
