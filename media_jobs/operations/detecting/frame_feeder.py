"""Passes sampled frames from ffmpeg to the detectors in the inference helper, and records the answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...detection.detector import Picture
from ...detection.frame_engine import frame_engine, sightings_of
from ...detection.tracking import Tracker
from ...errors import OperationUnavailable
from ...understanding.extras import NoModel
from ..base import Work
from .crops import PicturedSighting, merit_of, pictured
from .marks import GrowingFile
from .parameters import DetectParams
from .record import RecordWriter
from .span import Span

TIMES = "frames.txt"
_BATCH = 24 << 20  # bytes of frames in a request
_MOST_FRAMES = 32
_TIMEOUT = 600.0  # seconds for a request


class FrameFeeder:
    """`feed` is the consumer of Tools.decode. `size` is that of the frames."""

    def __init__(self, work: Work[DetectParams], span: Span, size: tuple[int, int]) -> None:
        params = work.params
        self.size, self.looked_at, self.last, self.sightings = size, 0, 0.0, 0
        self._work, self._span, self._region = work, span, params.area
        given = {"plate_pattern": params.plate_pattern, "max_fps": params.max_fps}
        try:
            lookers = [detector.with_models(work.models) for detector in params.lookers]
        except NoModel as reason:
            raise OperationUnavailable(str(reason)) from reason
        self._engine = frame_engine(lookers, given, params.min_confidence)
        # What is rare here may be a find with what the spans before and after it have.
        self.trackers = {
            detector.name: Tracker(detector.name, detector.least_sightings, detector.reach, merit_of, keeps_rare=True)
            for detector in params.lookers
        }
        self._record = RecordWriter(work.folder)
        self._times = _FrameTimes(work.folder / TIMES)
        self._frames = _Frames(size)
        self._has_before = False

    def feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._frames.add(rest) :]
            if self._frames.is_full:
                self._look()

    def counts(self) -> dict[str, int]:
        """How much each detector has found so far."""
        trackers = ((detector, self.trackers[detector.name]) for detector in self._work.params.lookers)
        return {
            detector.name: tracker.different_texts if detector.unique else tracker.count
            for detector, tracker in trackers
        }

    def finish(self) -> list[Any]:
        """Look at the last frames. Returns where the crops are."""
        self._look()
        for tracker in self.trackers.values():
            for find in tracker.finish():
                self._record.keep_crop(find)
        return self._record.crops

    def close(self) -> None:
        self._record.close()

    def _look(self) -> None:
        pictures = self._frames.take(self._has_before)
        count = len(pictures) - self._has_before
        if count < 1:
            return
        times = self._times.take(count)
        request = {"times": times, "has_before": self._has_before}
        answer = self._work.inference.ask(self._engine, request, pictures, timeout=_TIMEOUT)
        seen: list[dict[str, list[PicturedSighting]]] = [{} for _ in times]
        for name, number, sighting in sightings_of(answer, times):
            found = pictured(sighting, pictures[number + self._has_before])
            found = replace(found, box=self._region.in_whole(found.box))
            seen[number].setdefault(name, []).append(found)
        for time, each in zip(times, seen, strict=True):
            self._take(time, each)
        self._frames.keep_last()
        self._has_before = True

    def _take(self, time: float, seen: Mapping[str, list[PicturedSighting]]) -> None:
        self.last = time
        if not self._span.contains(time):
            return
        self.looked_at += 1
        self.sightings += sum(map(len, seen.values()))
        self._record.add(time, seen)
        for name, tracker in self.trackers.items():
            for find in tracker.add(time, seen.get(name, [])):
                self._record.keep_crop(find)


@dataclass(slots=True)
class _FrameTimes:
    """When the frames are shown, as a filter of ffmpeg wrote it down before it passed them on."""

    path: Path
    _file: GrowingFile = field(init=False)
    _times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = GrowingFile(self.path)

    def take(self, count: int) -> list[float]:
        self._times += self._file.new_times()
        if len(self._times) < count:
            raise RuntimeError(f"{self.path.name} has no times of {count - len(self._times)} frames.")
        taken, self._times = self._times[:count], self._times[count:]
        return taken


class _Frames:
    """A buffer of whole frames, behind a place for the one before them."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._frame = width * height * 3
        self._most = max(1, min(_MOST_FRAMES, _BATCH // self._frame))
        self._pictures: Picture = np.empty((self._most + 1, height, width, 3), np.uint8)
        self._bytes = self._pictures.reshape(-1)
        self._filled = 0  # bytes behind that place

    @property
    def is_full(self) -> bool:
        return self._filled == self._most * self._frame

    def add(self, data: memoryview) -> int:
        """Returns how many bytes had room."""
        begin = self._frame + self._filled
        part = data[: len(self._bytes) - begin]
        self._bytes[begin : begin + len(part)] = np.frombuffer(part, np.uint8)
        self._filled += len(part)
        return len(part)

    def take(self, with_before: bool) -> Picture:
        """The whole frames, without a copy."""
        count = self._filled // self._frame
        return self._pictures[0 if with_before else 1 : count + 1]

    def keep_last(self) -> None:
        """Put the last frame before those that follow."""
        self._pictures[0] = self._pictures[self._filled // self._frame]
        self._filled = 0
