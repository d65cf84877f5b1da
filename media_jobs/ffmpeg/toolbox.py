"""What an operation is given to work with: ffmpeg and the probe, in the sandbox, watched and reported."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from .binary import Binary
from .command import Command
from .failure_causes import failure
from .probing.media_facts import Facts
from .probing.probe import probe
from .probing.verification import Expected, verify
from .process import Ended, Watch, run
from .progress import QUIET, Block, Meter, Parser, Report
from .sandbox import Files, Limits, Sandbox
from .stderr_log import MAX_BYTES, Log

_RUNS = 20  # whose logs are kept


@dataclass(slots=True)
class Toolbox:
    """The Tools of one job (operations.base), and `verify` for whoever runs it.

    `check` is called at least every 0.1 s while something runs, and raises an Interruption to stop it. `timeout` is
    for everything together, from now on. `names` says how to call files that lie elsewhere, such as inputs, in the
    commands and the log that people are shown.
    """

    binary: Binary
    sandbox: Sandbox
    folder: Path
    threads: int
    check: Callable[[], None]
    report: Callable[[Report], None]
    stall_timeout: float = 120.0
    timeout: float = 24 * 3600.0
    limits: Limits | None = None  # what the command needs, if nobody knows better
    room: int | None = None  # bytes that the disk may take, where that is known
    names: Mapping[Path, str] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)  # that were run, with short names, to be copied
    _started: float = field(default_factory=monotonic)
    _logs: deque[Log] = field(default_factory=lambda: deque(maxlen=_RUNS))

    def ffmpeg(
        self,
        command: Command,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        doing: str = "Encoded",
    ) -> str:
        command = replace(command, threads=max(1, min(command.threads, self.threads)))
        argv = command.argv(self.binary.path)
        self.commands.append(self._shown(argv))
        limits = self.limits or Limits.of(command.threads, self._left, command.pixels, self.room)
        files = Files([source.path.absolute() for source in command.sources], [self.folder.absolute()])
        ended = self._run(argv, limits, files, Meter(seconds=seconds, frames=frames, share=share, doing=doing))
        if cause := failure(ended, limits):
            raise cause
        return ended.log.text

    def probe(self, path: Path) -> Facts:
        return probe(path, self.sandbox, check=self.check)

    def verify(self, path: Path, expected: Expected) -> Facts:
        return verify(path, expected, self.sandbox, check=self.check)

    def say(self, message: str, progress: float | None = None) -> None:
        self.check()
        self.report(Report(message, progress))

    @property
    def log(self) -> str:
        """The end of what the last runs wrote to stderr, also of one that was stopped."""
        return "\n".join(log.text for log in self._logs if log.text)[-MAX_BYTES:]

    @property
    def _left(self) -> float:
        return max(1.0, self.timeout - (monotonic() - self._started))

    def _run(self, argv: list[str], limits: Limits, files: Files, meter: Meter) -> Ended:
        log, news = Log(self._short), _News(meter, self.report)
        self._logs.append(log)

        def check() -> None:
            self.check()
            news.look()

        watch = Watch(check, news.hear, lambda: news.last.place, self.timeout, self.stall_timeout, self._started)
        return run(argv, sandbox=self.sandbox, limits=limits, folder=self.folder, files=files, watch=watch, log=log)

    @property
    def _short(self) -> dict[str, str]:
        """Paths, and what people see instead."""
        return {
            f"{self.folder.absolute()}/": "",
            **{str(path.absolute()): name for path, name in self.names.items()},
        }

    def _shown(self, argv: list[str]) -> list[str]:
        words = ["ffmpeg", *argv[1:]]
        for path, name in self._short.items():
            words = [word.replace(path, name) for word in words]
        return words


@dataclass(slots=True)
class _News:
    """What one run says of its progress, as reports; and a report also of its saying nothing new."""

    meter: Meter
    report: Callable[[Report], None]
    last: Block = field(default_factory=Block)
    _parser: Parser = field(default_factory=Parser)
    _since: float = field(default_factory=monotonic)
    _told: float = 0.0  # of how long a silence

    def hear(self, line: str) -> None:
        block = self._parser.feed(line)
        if block is None:
            return
        before, self.last = self.last, block
        if block.place != before.place:
            self._since, self._told = monotonic(), 0.0
            self.report(self.meter.report(block))

    def look(self) -> None:
        silent = monotonic() - self._since
        if silent > QUIET and silent >= self._told + 1:
            self._told = silent
            self.report(self.meter.silence(self.last, silent))
