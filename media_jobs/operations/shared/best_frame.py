"""Chooses one frame that represents a video, from candidates that are spread over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, PipeTarget, Source, Target
from .frame_score import POOR, score
from .still_images import FrameExtractor
from .time_range import seek_option
from .video_filters import fit_size

_KEY_FRAMES = (0.08, 0.2, 0.35, 0.5, 0.65, 0.8)  # shares of the duration
# Where key frames are few or poor, everything near these is decoded: without titles and credits.
_PLACES = (0.1, 0.3, 0.5, 0.7)
_FRAMES = 24  # at each place, of which the filter `thumbnail` keeps the most usual one: they are held in memory
_SHORT = 5.0  # seconds: a shorter video is decoded as a whole
_COMPARED = 12  # frames of it that are compared
_FEW = 3
_SCORED = 320  # pixels wide: smaller pictures are all sharp


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    score: float


def best_frame(extractor: FrameExtractor) -> Path:
    """The path of its image. Where no candidate can be read, the first frame that can."""
    found = _Search(extractor).candidates()
    return max(found, key=lambda candidate: candidate.score).path if found else extractor.at(0.0)


class _Search:
    def __init__(self, extractor: FrameExtractor) -> None:
        self._extractor = extractor
        self._size = fit_size(extractor.stream, width=_SCORED, height=_SCORED)
        self._duration = extractor.facts.duration or 0.0

    def candidates(self) -> list[_Candidate]:
        if self._duration < _SHORT:
            every = (self._duration or _SHORT) / _COMPARED
            spread = f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{every:.3f})'"
            return self._read("frame", ("-skip_frame", "noref"), [spread], _COMPARED, (0.0, 1.0))
        found = self._each("key", _KEY_FRAMES, ("-skip_frame", "nokey", "-noaccurate_seek"), [], (0.0, 0.5))
        different = {candidate.score for candidate in found}
        if len(different) < _FEW or max(different) < POOR:
            found += self._each("place", _PLACES, (), [f"thumbnail=n={_FRAMES}"], (0.5, 1.0))
        return found

    def _each(
        self, name: str, places: Sequence[float], source: Sequence[str], chosen: Sequence[str],
        share: tuple[float, float],
    ) -> list[_Candidate]:  # fmt: skip
        begin, step = share[0], (share[1] - share[0]) / len(places)
        return [
            candidate
            for number, place in enumerate(places)
            for candidate in self._read(
                f"{name}{number}-", (*source, *seek_option(place * self._duration)), chosen, 1,
                (begin + number * step, begin + (number + 1) * step),
            )
        ]  # fmt: skip

    def _read(
        self, name: str, source: Sequence[str], chosen: Sequence[str], count: int, share: tuple[float, float]
    ) -> list[_Candidate]:
        """Make `count` images. Score small grey copies of them, which ffmpeg writes to the pipe."""
        extractor, (width, height) = self._extractor, self._size
        seen = bytearray()
        try:
            extractor.tools.decode(
                self._command(name, source, chosen, count),
                seen.extend,
                unit=width * height,
                frames=count,
                share=share,
                verb="Compared",
            )
        except (ToolFailed, BadMedia) as failure:
            extractor.log = failure.log
        whole = len(seen) // (width * height)
        pictures = np.frombuffer(seen, np.uint8, whole * width * height).reshape(whole, height, width)
        paths = sorted(extractor.folder.glob(f"{name}*.{extractor.suffix}"))
        return [
            _Candidate(path, score(picture))
            for path, picture in zip(paths, pictures, strict=False)
            if path.stat().st_size
        ]

    def _command(self, name: str, source: Sequence[str], chosen: Sequence[str], count: int) -> Command:
        extractor, (width, height) = self._extractor, self._size
        filters = ",".join([*extractor.filters(chosen), "split[shown][small]"])
        graph = f"[0:{extractor.stream.index}]{filters};[small]scale={width}:{height}:flags=area,format=gray[scored]"
        each = ("-fps_mode", "passthrough", "-frames:v", str(count))
        image = ("-map", "[shown]", *each, *extractor.format.options, "-f", "image2")
        return Command(
            [Source(extractor.path, extractor.facts.format, source, extractor.stream.pixels)],
            [
                Target(extractor.folder / f"{name}%02d.{extractor.suffix}", image),
                PipeTarget("rawvideo", ("-map", "[scored]", *each)),
            ],
            filters=graph,
            threads=extractor.threads,
        )
