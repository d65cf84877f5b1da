"""Progress of ffmpeg: parses its `-progress` output, and makes reports with message, speed and remaining time."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, isfinite
from time import monotonic

_NEARLY_ALL = 0.99  # of the frames or seconds. Rounding and late starts may leave out the rest
_MAX_PROGRESS = 0.999  # a job is complete when its output is stored, not when the last frame is written
SILENCE = 2.0  # seconds without progress, after which reports say so
_SMOOTHING = 4.0  # seconds: the time constant of smoothed speeds
_FIRST_WEIGHT = 1e-6
# A longer estimate is of no use. Without a limit, the estimate of a run that makes no progress grows for ever: after
# two minutes at 99.9 % it no longer fits the database's integer.
MAX_ETA = 30 * 86400.0


def finite(value: float | None, maximum: float = inf) -> float | None:
    """The value if it is a finite number from 0 to `maximum`, else None."""
    return value if value is not None and isfinite(value) and 0 <= value <= maximum else None


@dataclass(frozen=True, slots=True)
class Report:
    """What users see of running work. None means unknown."""

    message: str
    progress: float | None = None  # from 0 to below 1
    speed: float | None = None  # seconds of media a second
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """One block of ffmpeg's progress output. Values that it calls N/A are None."""

    seconds: float | None = None  # of output so far
    frames: int | None = None
    size: int | None = None
    speed: float | None = None  # on average since the start
    is_last: bool = False

    @property
    def position(self) -> tuple[float | None, int | None, int | None]:
        """How far it is. Without the speed, which changes even while ffmpeg hangs."""
        return self.seconds, self.frames, self.size


class Parser:
    """Parses the output of `-progress`: lines of key=value. The key `progress` ends each block."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def feed(self, line: str) -> Block | None:
        key, _, value = line.strip().partition("=")
        if key != "progress":
            self._values[key] = value.strip()
            return None
        values, self._values = self._values, {}
        # out_time_ms holds microseconds, too; older builds have it alone.
        microseconds = _number(values.get("out_time_us", values.get("out_time_ms", "")))
        frames, size = _number(values.get("frame", "")), _number(values.get("total_size", ""))
        return Block(
            None if microseconds is None else max(0.0, microseconds / 1e6),
            None if frames is None else int(frames),
            None if size is None else int(size),
            _number(values.get("speed", "").removesuffix("x")),
            value.strip() == "end",
        )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None  # ffmpeg divides by zero: speed=inf, frame=nan


class _SmoothedRate:
    """The rate of something per second: a mean in which the last seconds count most.

    The first sample counts only until there are others: it includes the time that ffmpeg needs to start.
    """

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, amount: float, seconds: float) -> None:
        if not self._weight and not amount:
            return  # ffmpeg has not started to write
        weight = 1 - exp(-seconds / _SMOOTHING) if self._weight else _FIRST_WEIGHT
        self._sum += weight * (amount / seconds - self._sum)
        self._weight += weight * (1 - self._weight)

    @property
    def mean(self) -> float | None:
        return self._sum / self._weight if self._weight else None


class Meter:
    """Turns blocks into reports of the progress out of `frames` or `seconds`.

    `share` is the part of the whole job that this run is, `verb` the first word of the messages, unless
    `describe` makes them.
    """

    def __init__(
        self,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        verb: str = "Encoded",
        describe: Callable[[Block], str] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._seconds, self._frames, self._verb, self._clock = seconds, frames, verb, clock
        self._describe = describe
        self._begin, self._end = share
        self._progress = self._begin
        self._at, self._last_seconds = clock(), 0.0
        self._rate, self._speed = _SmoothedRate(), _SmoothedRate()  # of the job's progress, and in seconds of media

    def report(self, block: Block) -> Report:
        self._advance(block)
        is_known = bool(self._frames or self._seconds)
        rate = self._rate.mean if is_known else None
        eta = finite((1 - self._progress) / rate, MAX_ETA) if rate else None
        return Report(self._message(block), self._progress if is_known else None, self._speed.mean, eta)

    def silence(self, block: Block, seconds: float) -> Report:
        """The report when there was no progress since `block`. At the end, ffmpeg may move a whole file."""
        state = "Finishing" if self._part(block) >= _NEARLY_ALL or block.is_last else "Waiting for ffmpeg"
        message = f"{state}, no progress for {int(seconds)} s: {self._message(block, with_speed=False)}"
        is_known = bool(self._frames or self._seconds)
        return Report(message, self._progress if is_known else None)

    def _advance(self, block: Block) -> None:
        now = self._clock()
        passed = now - self._at
        part = min(1.0, self._part(block))
        progress = max(self._progress, min(_MAX_PROGRESS, self._begin + (self._end - self._begin) * part))
        seconds = max(self._last_seconds, block.seconds or 0.0)
        if passed > 0:
            self._rate.add(progress - self._progress, passed)
            if block.seconds is not None:
                self._speed.add(seconds - self._last_seconds, passed)
        self._at, self._progress, self._last_seconds = now, progress, seconds

    def _part(self, block: Block) -> float:
        if self._frames and block.frames:
            return block.frames / self._frames
        if self._seconds and block.seconds:
            return block.seconds / self._seconds
        return 0.0

    def _message(self, block: Block, *, with_speed: bool = True) -> str:
        if self._describe is not None:
            return self._describe(block)
        if self._frames and block.frames is not None:
            done = f"{min(block.frames, self._frames)} of {self._frames} frames"
        elif self._seconds:
            done = f"{clock_time(min(self._last_seconds, self._seconds))} of {clock_time(self._seconds)}"
        else:
            done = clock_time(self._last_seconds)
        speed = f" ({self._speed.mean:.1f}x)" if self._speed.mean and with_speed else ""
        return f"{self._verb} {done}{speed}"


def duration_text(seconds: float) -> str:
    """A duration in words: 45 seconds, 2 minutes, 24 hours."""
    units = (("hour", 3600), ("minute", 60), ("second", 1))
    unit, length = next((each for each in units if seconds >= 2 * each[1]), units[-1])
    count = seconds if length == 1 else round(seconds / length)
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def clock_time(seconds: float) -> str:
    """A duration as players show it: 0:12, 2:00, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
