"""Run one tool to its end, in the sandbox. One thread, the caller's, starts it, watches it and kills it."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import ResourceLimit, Stalled, TimedOut
from .sandbox import Files, Limits, Sandbox
from .stderr_log import Log

TICK = 0.1  # seconds between two looks at it, and two calls of `check`, at most
_MOMENT = 0.002  # between its closing its outputs and its end: milliseconds, thrice in every job
_GROWTH = 1 << 20  # bytes read or written that count as being alive
_PIPE = 65536
_LONGEST_LINE = 1 << 20


def _nothing() -> None:
    pass


def _ignore(line: str) -> None:
    pass


def _no_pulse() -> object:
    return None


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is asked and told while a tool runs, and how long it may take."""

    check: Callable[[], None] = _nothing  # raises an Interruption to stop it at once
    heard: Callable[[str], None] = _ignore  # a line of its stdout
    pulse: Callable[[], object] = _no_pulse  # another value than before: it has come further
    timeout: float = 24 * 3600.0
    stall: float = 120.0
    since: float | None = None  # of the monotonic clock, what the timeout counts from; None: the tool's start


@dataclass(slots=True)
class Ended:
    """How it ended. `code` is negative for a signal, as everywhere in Python."""

    code: int
    log: Log
    cpu_seconds: float = 0.0
    resident: int = 0  # bytes, at most, as far as was seen
    address_space: int = 0


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
) -> Ended:
    """Its end, whatever that is; or what `check` raised, Stalled, TimedOut, ResourceLimit. Nothing of it survives."""
    command = sandbox.wrap(argv, limits, files)
    with _Tool(command, sandbox.environment(folder), cwd or folder, log or Log()) as tool:
        tool.follow(watch or Watch(), limits)
    return tool.ended


@dataclass(slots=True)
class _Usage:
    """What the kernel says of a process that runs, where it says it."""

    pid: int
    resident: int = 0
    address_space: int = 0
    moved: int = 0  # bytes read and written, by whatever way

    def look(self) -> None:
        if sys.platform != "linux":
            return
        status, io = self._read("status"), self._read("io")
        self.resident = max(self.resident, status.get("VmHWM", 0) * 1024)
        self.address_space = max(self.address_space, status.get("VmPeak", 0) * 1024)
        self.moved = max(self.moved, io.get("rchar", 0) + io.get("wchar", 0))

    def _read(self, name: str) -> dict[str, int]:
        try:
            lines = Path(f"/proc/{self.pid}/{name}").read_text(errors="replace").splitlines()
        except OSError:  # it is gone, or not ours to look at: the other limits hold
            return {}
        pairs = (line.split()[:2] for line in lines)
        return {words[0].rstrip(":"): int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}


@dataclass(slots=True)
class _Tool:
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Log
    ended: Ended = field(init=False)
    _process: "subprocess.Popen[bytes]" = field(init=False)
    _usage: _Usage = field(init=False)
    _selector: selectors.BaseSelector = field(init=False)
    _line: bytes = b""
    _heard: int = 0  # bytes of what it said, which it has written and are no sign of life

    def __enter__(self) -> "_Tool":
        # Python does not call __exit__ when __enter__ raises: whatever fails here, also for want of a descriptor,
        # undoes what came before it.
        with ExitStack() as undo:
            self._selector = undo.enter_context(selectors.DefaultSelector())
            self._process = self._start()
            self._usage = _Usage(self._process.pid)
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
        return subprocess.Popen(  # noqa: S603 - our own words, every path behind `file:`
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
        started = last_look = last_life = time.monotonic()
        pulse: object = None
        while not self._has_exited():
            self._listen(watch, TICK)
            now = time.monotonic()
            if now - last_look < TICK / 2:
                continue  # it talks so much that select did not wait
            last_look = now
            watch.check()
            self._usage.look()
            if pulse != (pulse := (watch.pulse(), (self._usage.moved - self._heard) // _GROWTH)):
                last_life = now
            self._judge(watch, limits, now - (watch.since or started), now - last_life)
        self._drain(watch)

    def _judge(self, watch: Watch, limits: Limits, lasted: float, silent: float) -> None:
        if self._usage.resident > limits.resident:
            raise ResourceLimit(f"It needed more than {limits.resident >> 20} MB of memory.", log=self.log.text)
        if lasted > watch.timeout:
            raise TimedOut(f"It was not done after {watch.timeout:,.0f} seconds.", log=self.log.text)
        if silent > watch.stall:
            raise Stalled(f"It came no further for {watch.stall:,.0f} seconds.", log=self.log.text)

    def _listen(self, watch: Watch, patience: float) -> None:
        if not self._selector.get_map():  # it closed both: it goes on, or more often is about to end
            time.sleep(_MOMENT)
            return
        for key, _ in self._selector.select(patience):
            self._read(key.fileobj, watch)  # type: ignore[arg-type]  # what was registered has a fileno

    def _read(self, stream: IO[bytes], watch: Watch) -> None:
        data = os.read(stream.fileno(), _PIPE)
        self._heard += len(data)
        if not data:
            self._selector.unregister(stream)
        elif stream is self._process.stderr:
            self.log.feed(data)
        else:
            *lines, rest = (self._line + data).split(b"\n")
            self._line = rest[:_LONGEST_LINE]
            for line in lines:
                watch.heard(line.decode(errors="replace"))

    def _has_exited(self) -> bool:
        # Not reaped yet: as long as it is there its number is nobody else's, and its group can be killed.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _drain(self, watch: Watch) -> None:
        """What it said last. Whoever else holds the pipe's other end has no say: nobody is waited for."""
        while ready := self._selector.select(0):
            for key, _ in ready:
                self._read(key.fileobj, watch)  # type: ignore[arg-type]

    def _kill(self) -> None:
        """The whole group, and wait for the one that leads it."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (PermissionError, ProcessLookupError):
            # macOS says so of a group of zombies. And who was killed before it had its own session leads no group.
            os.kill(self._process.pid, signal.SIGKILL)
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.log.close()
        self.ended = Ended(
            self._process.returncode,
            self.log,
            used.ru_utime + used.ru_stime,
            self._usage.resident,  # not ru_maxrss, which begins with what we held when it was forked
            self._usage.address_space,
        )
