"""The tools of one job: runs ffmpeg and the probe in the sandbox, and reports progress."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from .binary import Binary
from .command import Command
from .error_output import MAX_BYTES, Log, ProcessResult, failure_of
from .probing.media_facts import Facts
from .probing.probe import probe
from .probing.verification import Expected, require_content, verify
from .process import Watch, run
from .progress import SILENCE, Block, Meter, Parser, Report
from .sandbox import Files, Limits, Sandbox

_LOGS_KEPT = 20
_REPORT_EVERY = 0.5  # seconds, while samples or frames are read from a pipe
# Seconds between two looks, and the share of the time that they may take: to verify an output starts a process.
_LOOK_EVERY, _LOOK_SHARE = 2.0, 0.05


@dataclass(slots=True)
class Toolbox:
    """Implements operations.base.Tools, and `verify` for the worker.

    `check` is called about every 0.1 s while a process runs, and raises an Interruption to stop it. `on_report` gets
    the progress. `timeout` limits the time of all runs together, and starts now. `names` maps files outside the work
    folder, such as inputs, to their names in the commands and the log that users see.
    """

    binary: Binary
    sandbox: Sandbox
    folder: Path
    threads: int
    check: Callable[[], None]
    on_report: Callable[[Report], None]
    stall_timeout: float = 120.0
    timeout: float = 24 * 3600.0
    limits: Limits | None = None  # None: by what the command needs
    room: int | None = None  # bytes that outputs may take on the disk; None: not known
    names: Mapping[Path, str] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)  # that ran, with the names that users see
    _started: float = field(default_factory=monotonic)
    _logs: deque[Log] = field(default_factory=lambda: deque(maxlen=_LOGS_KEPT))

    def ffmpeg(
        self,
        command: Command,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        verb: str = "Encoded",
        describe: Callable[[Block], str] | None = None,
        look: Callable[[], object] | None = None,
    ) -> str:
        meter = Meter(seconds=seconds, frames=frames, share=share, verb=verb, describe=describe)
        reporter = _Reporter(meter, self.on_report)
        return self._run(command, reporter, look=_Looks(look) if look else None)

    def decode(
        self,
        command: Command,
        consume: Callable[[bytes], object],
        *,
        unit: int,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        verb: str = "Read",
        describe: Callable[[Block], str] | None = None,
    ) -> str:
        meter = Meter(seconds=seconds, frames=frames, share=share, verb=verb, describe=describe)
        reporter = _Reporter(meter, self.on_report)
        return self._run(command, reporter, _PipeReader(consume, unit, frames is not None, reporter).feed)

    def probe(self, path: Path) -> Facts:
        return probe(path, self.sandbox, check=self.check)

    def verify(self, path: Path, expected: Expected | None) -> Facts | None:
        if expected is None:
            require_content(path)
            return None
        return verify(path, expected, self.sandbox, check=self.check)

    def report(self, message: str, progress: float | None = None) -> None:
        self.check()
        self.on_report(Report(message, progress))

    @property
    def log(self) -> str:
        """The end of what the last runs wrote to stderr, including a run that was stopped."""
        return "\n".join(log.text for log in self._logs if log.text)[-MAX_BYTES:]

    @property
    def _left(self) -> float:
        return max(1.0, self.timeout - (monotonic() - self._started))

    def _run(
        self,
        command: Command,
        reporter: "_Reporter",
        on_data: Callable[[bytes], object] | None = None,
        look: "_Looks | None" = None,
    ) -> str:
        command = replace(command, threads=max(1, min(command.threads, self.threads)))
        argv = command.argv(self.binary.path)
        self.commands.append(self._with_names(argv))
        limits = self.limits or Limits.of(command.threads, self._left, command.pixels, self.room)
        result = self._watch(command, argv, limits, reporter, on_data, look)
        if failure := failure_of(result, limits):
            raise failure
        return result.log.text

    def _watch(
        self,
        command: Command,
        argv: list[str],
        limits: Limits,
        reporter: "_Reporter",
        on_data: Callable[[bytes], object] | None,
        look: "_Looks | None",
    ) -> ProcessResult:
        log = Log(self._names)
        self._logs.append(log)

        def check() -> None:
            self.check()
            reporter.check_for_silence()
            if look is not None:
                look.take()

        watch = Watch(
            check,
            reporter.feed,
            on_data,
            lambda: reporter.last.position,
            self.timeout,
            self.stall_timeout,
            self._started,
        )
        files = Files([source.path.absolute() for source in command.sources], [self.folder.absolute()])
        return run(argv, sandbox=self.sandbox, limits=limits, folder=self.folder, files=files, watch=watch, log=log)

    @property
    def _names(self) -> dict[str, str]:
        """Paths, and the names that users see instead."""
        return {
            f"{self.folder.absolute()}/": "",
            **{str(path.absolute()): name for path, name in self.names.items()},
        }

    def _with_names(self, argv: list[str]) -> list[str]:
        words = ["ffmpeg", *argv[1:]]
        for path, name in self._names.items():
            words = [word.replace(path, name) for word in words]
        return words


@dataclass(slots=True)
class _Reporter:
    """Turns ffmpeg's progress output into reports. While there is no progress, it reports that once a second."""

    meter: Meter
    on_report: Callable[[Report], None]
    last: Block = field(default_factory=Block)
    _parser: Parser = field(default_factory=Parser)
    _since: float = field(default_factory=monotonic)
    _reported: float = 0.0  # the seconds without progress in the last report

    def feed(self, line: str) -> None:
        if (block := self._parser.feed(line)) is not None:
            self.show(block)

    def show(self, block: Block) -> None:
        before, self.last = self.last, block
        if block.position != before.position:
            self._since, self._reported = monotonic(), 0.0
            self.on_report(self.meter.report(block))

    def check_for_silence(self) -> None:
        silent = monotonic() - self._since
        if silent > SILENCE and silent >= self._reported + 1:
            self._reported = silent
            self.on_report(self.meter.silence(self.last, silent))


@dataclass(slots=True)
class _Looks:
    """Calls `look` now and then, the less often the longer it takes."""

    look: Callable[[], object]
    _next: float = field(default_factory=lambda: monotonic() + _LOOK_EVERY)

    def take(self) -> None:
        if (began := monotonic()) >= self._next:
            self.look()
            ended = monotonic()
            self._next = ended + max(_LOOK_EVERY, (ended - began) / _LOOK_SHARE)


@dataclass(slots=True)
class _PipeReader:
    """Passes on what a PipeTarget writes. ffmpeg waits meanwhile, so the progress is that of the consumer."""

    consume: Callable[[bytes], object]
    unit: int
    counts_frames: bool
    reporter: _Reporter
    _size: int = 0
    _reported: float = 0.0

    def feed(self, data: bytes) -> None:
        self.consume(data)
        self._size += len(data)
        if (now := monotonic()) >= self._reported + _REPORT_EVERY:
            self._reported = now
            done = self._size / self.unit
            seconds, frames = (None, int(done)) if self.counts_frames else (done, None)
            self.reporter.show(Block(seconds, frames, self._size))
