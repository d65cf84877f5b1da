"""Running a process: its output, its limits, stopping it, and that nothing of it is left."""

import errno
import os
import selectors
import shlex
import signal
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import Cancelled, ResourceLimit, Stalled, TimedOut
from media_jobs.ffmpeg.error_output import Log, ProcessResult
from media_jobs.ffmpeg.process import Watch, run
from media_jobs.ffmpeg.sandbox import Limits, Sandbox
from tests.support import child_programs
from tests.support.preloaded_processes import ROOT
from tests.support.run import command_for


class Shell:
    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox, self.folder = sandbox, folder

    def __call__(self, script: str, watch: Watch | None = None, limits: Limits | None = None) -> ProcessResult:
        return run(
            ["/bin/sh", "-c", script],
            sandbox=self._sandbox,
            limits=limits or Limits(),
            folder=self.folder,
            watch=watch,
            log=Log({f"{self.folder}/": ""}),
        )


@pytest.fixture
def shell(sandbox: Sandbox, tmp_path: Path) -> Shell:
    return Shell(sandbox, tmp_path)


def stop_once(*files: Path) -> Watch:
    """Cancel as soon as all these files exist."""

    def check() -> None:
        if all(file.exists() for file in files):
            raise Cancelled

    return Watch(check)


def group_of(folder: Path) -> list[int]:
    """The running processes of the group whose leader wrote its pid into the file `pid`."""
    leader = int((folder / "pid").read_text())
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [number for number in numbers if _belongs(number, leader)]


def assert_all_gone(folder: Path) -> None:
    """Wait until no process of the group runs: the kernel ends grandchildren a little later."""
    deadline = time.monotonic() + 5
    while (left := group_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def _belongs(number: int, leader: int) -> bool:
    try:
        return os.getpgid(number) == leader and "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False


def test_its_output_is_passed_on_line_by_line_with_its_exit_code(shell: Shell) -> None:
    lines: list[str] = []
    result = shell("echo one; echo two; printf three >&2; exit 7", Watch(on_line=lines.append))
    assert lines == ["one", "two"]
    assert result.log.text == "three"
    assert result.code == 7


def test_a_signal_is_a_negative_code(shell: Shell) -> None:
    assert shell("kill -SEGV $$").code == -signal.SIGSEGV


def test_it_reads_nothing_from_us_and_has_its_own_session(shell: Shell) -> None:
    result = shell("cat; ps -o sid= -p $$ >&2; echo $$ >&2")
    sid, pid = result.log.text.split()
    assert sid == pid


def test_check_stops_it_at_once_with_all_its_children(shell: Shell) -> None:
    started = time.monotonic()
    with pytest.raises(Cancelled):
        shell(
            "(trap '' TERM; echo > trapped; sleep 60) & echo $$ > part; mv part pid; sleep 60",
            stop_once(shell.folder / "pid", shell.folder / "trapped"),
        )
    assert time.monotonic() - started < 30  # of a minute
    assert_all_gone(shell.folder)


def test_check_is_called_often_even_while_output_never_pauses(shell: Shell) -> None:
    calls: list[float] = []
    shell("timeout 2 yes; timeout 2 yes >&2", Watch(check=lambda: calls.append(time.monotonic())))
    gaps = [later - earlier for earlier, later in pairwise(calls)]
    assert len(calls) > 8
    assert sorted(gaps)[int(len(gaps) * 0.9)] < 1  # 0.1 s, on a machine that is not busy


def test_a_child_that_keeps_the_pipes_open_is_not_waited_for(shell: Shell) -> None:
    started = time.monotonic()
    assert shell("echo $$ > pid; sleep 60 & exit 0").code == 0
    assert time.monotonic() - started < 30  # of a minute
    assert_all_gone(shell.folder)


def test_one_that_closes_its_pipes_is_watched_all_the_same(shell: Shell) -> None:
    with pytest.raises(Cancelled):
        shell("exec >&- 2>&-; echo > closed; sleep 60", stop_once(shell.folder / "closed"))


def test_without_progress_it_has_stalled(shell: Shell) -> None:
    with pytest.raises(Stalled, match="no progress for 3 seconds") as raised:
        shell("while :; do echo still here >&2; sleep 0.05; done", Watch(stall_timeout=3))
    assert "still here" in raised.value.log


def test_a_changing_position_is_no_stall(shell: Shell) -> None:
    lines: list[str] = []
    watch = Watch(on_line=lines.append, position=lambda: len(lines), stall_timeout=3)
    assert shell("for n in 1 2 3 4 5; do echo $n; sleep 0.8; done", watch).code == 0


def test_reading_and_writing_files_is_no_stall(shell: Shell) -> None:
    """ffmpeg prints no progress while it moves the index to the front of a large file."""
    command = shlex.join(command_for(child_programs.write_with_pauses, "out"))
    assert shell(f"PYTHONPATH={ROOT} exec {command}", Watch(stall_timeout=3)).code == 0


def test_its_time_is_limited(shell: Shell) -> None:
    with pytest.raises(TimedOut, match="not finish within 1 second"):
        shell("while :; do dd if=/dev/zero of=out bs=1M count=2 2>/dev/null; done", Watch(timeout=1.0))


def test_what_it_holds_in_memory_is_limited_while_it_runs(shell: Shell) -> None:
    hold = "b = bytearray(b'x') * (200 << 20); import time; time.sleep(60)"
    with pytest.raises(ResourceLimit, match="more than 100 MB"):
        shell(f"exec {sys.executable} -c {shlex.quote(hold)}", limits=Limits(resident=100 << 20))


def test_a_log_without_end_stays_small(shell: Shell) -> None:
    result = shell("yes 'a long line that says nothing much' | head -n 90000 >&2; echo last >&2")
    assert len(result.log.text) <= 64 * 1024
    assert result.log.text.endswith("\nlast")


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def out_of_descriptors(*_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class NoSelector(selectors.DefaultSelector):
    """Fails as it would if another thread took the last descriptor."""

    def __init__(self) -> None:
        out_of_descriptors()


class SelectorOfOne(selectors.DefaultSelector):
    """Fails to register the second pipe."""

    def register(self, *stream: Any, **more: Any) -> selectors.SelectorKey:
        if self.get_map():
            out_of_descriptors()
        return super().register(*stream, **more)


@pytest.mark.parametrize("selector", [NoSelector, SelectorOfOne])
def test_no_child_and_no_descriptor_is_left_where_watching_it_fails(
    selector: Callable[[], selectors.BaseSelector], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children(), descriptors()
    monkeypatch.setattr(selectors, "DefaultSelector", selector)
    with pytest.raises(OSError, match="Too many open files"):
        shell("sleep 600")
    assert (children(), descriptors()) == before
