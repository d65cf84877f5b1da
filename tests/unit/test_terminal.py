"""What strangers choose, a name or an address, is shown by a terminal and never obeyed."""

import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tests.support import child_programs
from tests.support.run import command_for
from tests.support.server import ROOT, environment
from uploads.management.terminal_command import TerminalCommand
from uploads.text.terminal_safety import printable

OURS = {"config", "media_jobs", "uploads"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße 日本 🎬\tmovie\n", "Grüße 日本 🎬\tmovie\n"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\x08\x7f\x00", "a\\rb\\x08\\x7f\\x00"),
        ("\x9b2J\x85", "\\x9b2J\\x85"),
        ("exe.\u202e4pm \u2066x\u2069 \u200f\u2028", "exe.\\u202e4pm \\u2066x\\u2069 \\u200f\\u2028"),
        (os.fsdecode(b"\xff.mp4"), "\\udcff.mp4"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_in_a_line_of_a_log_there_is_one_line() -> None:
    assert printable("one\ntwo\tthree", one_line=True) == "one\\ntwo\\tthree"


@pytest.mark.parametrize("name", sorted(name for name, app in get_commands().items() if app in OURS))
def test_every_command_of_ours_prints_so(name: str) -> None:
    assert isinstance(load_command_class(get_commands()[name], name), TerminalCommand)


def test_the_log_of_a_request_and_of_an_error_steers_no_terminal(tmp_path: Path) -> None:
    """By the real log of a process whose stderr is a terminal, as that of `make run` is."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command_for(child_programs.log_hostile_words), cwd=ROOT, env=environment(tmp_path / "home", ""),
        stdout=subprocess.DEVNULL, stderr=its,
    )  # fmt: skip
    os.close(its)
    log = b""
    with suppress(OSError):  # so says a pty whose other end is closed
        while piece := os.read(ours, 65536):
            log += piece
    os.close(ours)
    assert process.wait() == 0, log
    said = log.decode()
    assert [obeyed for obeyed in ("\x1b]", "\x07", "\x9b", "\u202e") if obeyed in said] == []
    for shown in ("/\\x1b]0;x\\x07\\x9b2J\\u202eend", "bad \\x1b]0;y\\x07", "one\\ntwo", "\\x1b]0;z\\x07"):
        assert shown in said
    assert "Traceback" in said
