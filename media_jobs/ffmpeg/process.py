"""Runs one process in the sandbox. The thread that calls `run` starts it, watches it and kills it; no other does."""

import fcntl
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import ResourceLimit, Stalled, TimedOut
from .error_output import LESS_MEMORY, LESS_WORK, Log, ProcessResult
from .progress import duration_text
from .sandbox import Files, Limits, Sandbox

TICK = 0.1  # seconds between two calls of `check`, at most
_EXIT_TICK = 0.002  # seconds; after the end of its output, since it mostly exits within milliseconds
_GROWTH = 1 << 20  # bytes read or written that count as progress
_PIPE = 65536
# For samples and frames: a wide pipe that is read now and then. To wake up for each page costs more than decoding.
_WIDE_PIPE = 1 << 20
_PAUSE = 0.005  # seconds
_LONGEST_LINE = 1 << 20


def kill_group(process: "subprocess.Popen[bytes]") -> "resource.struct_rusage":
    """Kill the process and its group, and reap it. Returns what it has used."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        # macOS refuses a group of zombies. There is no group if the process died before it had its own session.
        os.kill(process.pid, signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _nothing() -> None:
    pass


def _ignore(line: str) -> None:
    pass


def _no_position() -> object:
    return None


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks while a process runs, and how long it may take."""

    check: Callable[[], None] = _nothing  # raises an Interruption to stop the process
    on_line: Callable[[str], None] = _ignore  # gets each line of its stdout
    on_data: Callable[[bytes], object] | None = None  # gets its stdout as it comes, instead of `on_line`
    position: Callable[[], object] = _no_position  # how far it is: while this changes, it has not stalled
    timeout: float = 24 * 3600.0
    stall_timeout: float = 120.0
    started_at: float | None = None  # monotonic time from which the timeout counts; None: the start of the process


def run(
    argv: Sequence[str],
    *,
    sandbox: Sandbox,
    limits: Limits,
    folder: Path,
    files: Files | None = None,
    watch: Watch | None = None,
    cwd: Path | None = None,
    log: Log | None = None,
) -> ProcessResult:
    """Run `argv` and return how it ended, whatever its exit code.

    Raises Stalled, TimedOut, ResourceLimit, or what `check` raised. The process and its children are gone then, too.
    """
    command = sandbox.wrap(argv, limits, files)
    with _Process(command, sandbox.environment(folder), cwd or folder, log or Log()) as process:
        process.follow(watch or Watch(), limits)
    return process.result


@dataclass(slots=True)
class Usage:
    """What a running process uses, from /proc. Zero where the system has no /proc."""

    pid: int
    resident: int = 0
    address_space: int = 0
    transferred: int = 0  # bytes read and written, including pipes

    def update(self) -> None:
        if sys.platform != "linux":
            return
        status, io = self._read("status"), self._read("io")
        self.resident = max(self.resident, status.get("VmHWM", 0) * 1024)
        self.address_space = max(self.address_space, status.get("VmPeak", 0) * 1024)
        self.transferred = max(self.transferred, io.get("rchar", 0) + io.get("wchar", 0))

    def _read(self, name: str) -> dict[str, int]:
        try:
            lines = Path(f"/proc/{self.pid}/{name}").read_text(errors="replace").splitlines()
        except OSError:  # it has ended, or belongs to another user: the kernel's limits still hold
            return {}
        pairs = (line.split()[:2] for line in lines)
        return {words[0].rstrip(":"): int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}


@dataclass(slots=True)
class _Process:
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Log
    result: ProcessResult = field(init=False)
    _process: "subprocess.Popen[bytes]" = field(init=False)
    _usage: Usage = field(init=False)
    _selector: selectors.BaseSelector = field(init=False)
    _line: bytes = b""
    _passed_on: int = 0  # bytes that `on_data` got
    _output: int = 0  # bytes of its own output, which count as transferred but are no progress

    def __enter__(self) -> "_Process":
        # Python does not call __exit__ when __enter__ raises. Whatever fails here, such as for lack of descriptors,
        # must end the process.
        with ExitStack() as undo:
            self._selector = undo.enter_context(selectors.DefaultSelector())
            self._process = self._start()
            self._usage = Usage(self._process.pid)
            undo.callback(self._end)
            for stream in self._outputs():
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._selector:
            self._end()

    def _start(self) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603 - built by Command: every path is behind `file:`
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=self.environment,
            cwd=self.folder,
            start_new_session=True,
        )

    def _outputs(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return self._process.stdout, self._process.stderr

    def _end(self) -> None:
        with self._outputs()[0], self._outputs()[1]:
            self._kill()

    def follow(self, watch: Watch, limits: Limits) -> None:
        started = last_check = last_progress = time.monotonic()
        position: object = None
        if watch.on_data is not None:
            self._widen_pipe()
        while not self._has_exited():
            self._read_outputs(watch, TICK)
            now = time.monotonic()
            if now - last_check < TICK / 2:
                continue  # there is so much output that select did not wait
            last_check = now
            watch.check()
            self._usage.update()
            moved = (self._usage.transferred - self._output) // _GROWTH
            if position != (position := (watch.position(), moved, self._passed_on)):
                last_progress = now
            self._enforce(watch, limits, now - (watch.started_at or started), now - last_progress)
        self._drain(watch)

    def _enforce(self, watch: Watch, limits: Limits, elapsed: float, stalled: float) -> None:
        log = self.log.text
        if self._usage.resident > limits.resident:
            raise ResourceLimit(
                f"The job needed more than {limits.resident >> 20} MB of memory. {LESS_MEMORY}", log=log
            )
        if elapsed > watch.timeout:
            raise TimedOut(f"The job did not finish within {duration_text(watch.timeout)}. {LESS_WORK}", log=log)
        if stalled > watch.stall_timeout:
            raise Stalled(f"The job made no progress for {duration_text(watch.stall_timeout)}.", log=log)

    def _read_outputs(self, watch: Watch, timeout: float) -> None:
        if not self._selector.get_map():  # both outputs are closed: most likely it is about to exit
            time.sleep(_EXIT_TICK)
            return
        for key, _ in self._selector.select(timeout):
            self._read(key.fileobj, watch)  # type: ignore[arg-type]  # what was registered has a fileno

    def _read(self, stream: IO[bytes], watch: Watch) -> None:
        is_raw = watch.on_data is not None and stream is self._process.stdout
        data = os.read(stream.fileno(), _WIDE_PIPE if is_raw else _PIPE)
        self._output += len(data)
        if not data:
            self._selector.unregister(stream)
        elif stream is self._process.stderr:
            self.log.feed(data)
        elif watch.on_data is not None:
            self._passed_on += len(data)
            watch.on_data(data)
            if len(data) < _PIPE:
                time.sleep(_PAUSE)
        else:
            *lines, rest = (self._line + data).split(b"\n")
            self._line = rest[:_LONGEST_LINE]
            for line in lines:
                watch.on_line(line.decode(errors="replace"))

    def _widen_pipe(self) -> None:
        with suppress(OSError, AttributeError):  # more than this user may have; not Linux
            fcntl.fcntl(self._outputs()[0], fcntl.F_SETPIPE_SZ, _WIDE_PIPE)

    def _has_exited(self) -> bool:
        # WNOWAIT leaves the zombie: its pid cannot be used again until its group was killed.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _drain(self, watch: Watch) -> None:
        """Read what is left in the pipes, without waiting for children that keep them open."""
        while ready := self._selector.select(0):
            for key, _ in ready:
                self._read(key.fileobj, watch)  # type: ignore[arg-type]

    def _kill(self) -> None:
        used = kill_group(self._process)
        self.log.close()
        self.result = ProcessResult(
            self._process.returncode,
            self.log,
            used.ru_utime + used.ru_stime,
            self._usage.resident,  # not ru_maxrss, which includes the memory of this process at the fork
            self._usage.address_space,
        )
