"""Reads a span of a file once, for all chosen detectors, and records what they say."""

from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.progress import Block, clock_time
from ..base import Work
from .command import command_for, sampled_size
from .extent import Extent
from .frame_feeder import FrameFeeder
from .marks import marks_in
from .parameters import DetectParams
from .record import Summary, made_in, write_summary
from .span import Span
from .tally import counted, processed

_COUNTING_SHARE = 0.02  # of the time


@dataclass(slots=True)
class SpanReader:
    work: Work[DetectParams]
    extent: Extent
    span: Span
    share: tuple[float, float] = (0.0, 1.0)  # of the progress of the job
    feeder: FrameFeeder | None = None
    _last: Block = field(default_factory=Block)
    _tally: str = ""
    _tally_until: float = 0.0

    def __post_init__(self) -> None:
        params = self.work.params
        if params.lookers and self.extent.picture is not None:
            self.feeder = FrameFeeder(self.work, self.span, sampled_size(params, self.extent.picture))

    def read(self) -> Summary:
        """Of a damaged file, what can be decoded. It may be nothing: other spans may have more."""
        message, crops = "", list[Any]()
        with closing(self.feeder) if self.feeder else nullcontext():
            try:
                self._run()
            except (BadMedia, ToolFailed) as failure:
                message = failure.detail
            if self.feeder is not None:
                crops = self.feeder.finish()
        looked_at, size = (self.feeder.looked_at, self.feeder.size) if self.feeder else (0, (0, 0))
        summary = Summary(self.span.spec, self._end(message), looked_at, *size, crops, message)
        write_summary(self.work.folder, summary)
        return summary

    def message_of(self, summary: Summary) -> str:
        """How many things are in the whole span, for the message of its part."""
        self._tally = self._counted()
        return self._processed(summary.end)

    def _run(self) -> None:
        command = command_for(self.work, self.extent, self.span)
        tools, extent, share = self.work.tools, self.extent, self.share
        if self.feeder is not None:
            width, height = self.feeder.size
            tools.decode(
                command, self.feeder.feed, unit=width * height * 3, share=share, describe=self._describe,
                frames=extent.sampled_frames(self.work.params, self.span),
            )  # fmt: skip
        else:
            frames = extent.frames(self.span)
            seconds = extent.seconds(self.span) if extent.picture is None else None
            tools.ffmpeg(command, seconds=seconds, frames=frames, share=share, describe=self._describe)

    def _describe(self, block: Block) -> str:
        """ "Processed 500/2000 frames (5 unique plates, 47 detections)"."""
        self._last = block
        if monotonic() >= self._tally_until:
            self._tally = self._counted()
        return self._processed(self._position)

    def _processed(self, position: float) -> str:
        if self.extent.picture is None:
            return (
                f"Processed {clock_time(position)} of {clock_time(self.extent.duration or position)} ({self._tally})"
            )
        total, rate = self.extent.frames(self.span), self.extent.rate
        done = max(0, round((position - self.span.begin) * rate)) if rate else self._last.frames or 0
        return processed(min(done, total or done), total, self._tally)

    def _counted(self) -> str:
        """What has been found so far. To count many events takes long, so it is done now and then."""
        began = monotonic()
        params, found = self.work.params, dict[str, int]()
        files = made_in(self.work.folder, params.filters)
        for filtered in params.filters:
            found[filtered.name] = len(filtered.finds(marks_in(files, filtered, self.span), self._position))
        if self.feeder is not None:
            found |= self.feeder.counts()
        self._tally_until = monotonic() + (monotonic() - began) / _COUNTING_SHARE
        return counted(params.chosen, found, self.feeder.sightings if self.feeder else 0)

    @property
    def _position(self) -> float:
        """How far it has come, in seconds of the file."""
        if self.feeder is not None:
            return self.feeder.last
        if self.extent.picture is None:
            return self._last.seconds or 0.0
        # Of pictures that it throws away, ffmpeg tells the number and not the time.
        start = max(0.0, self.span.begin - self.span.lead)
        return start + (self._last.frames or 0) / (self.extent.rate or 25) if self._last.frames else 0.0

    def _end(self, message: str) -> float:
        known = self.span.end if self.span.end is not None else self.extent.duration
        return self._position if message or known is None else known
