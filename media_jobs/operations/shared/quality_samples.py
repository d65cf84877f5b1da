"""Encodes samples of a source with a CRF, and measures their VMAF: a probe of the quality search.

The samples are spread evenly: taken at random, they miss the whole by up to 12. A source that is not much longer than
its samples is one sample. Encoder, raw source and VMAF run in one process, so that each sample is decoded once.
"""

import hashlib
import json
from dataclasses import dataclass
from math import ceil
from typing import Any

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, Target
from ...ffmpeg.demuxers import WITHOUT_TIMESTAMPS, WRONG_DURATION
from ..base import Work
from .quality_measure import Comparison, Excerpt, model_for, parse_vmaf, step_for
from .time_range import output_limit, seek_option
from .video_plan import VideoPlan

_COUNT, _SECONDS = 6, 2.0
_WHOLE = _COUNT * _SECONDS * 1.25  # a shorter source is one sample
_ENOUGH = 70  # frames that a probe compares
_USUAL_RATE = 25.0
# Frames of a sample wait in memory for those that the encoder looks ahead at. In pixels: 30 frames in 4K, with which
# SVT-AV1 takes 2.8 GB in all. Larger pictures are never one sample, whose frames are not counted.
_MOST_PIXELS, _LARGE = 250_000_000, 2560 * 1440


def samples_of(work: Work[Any], plan: VideoPlan, whole: Excerpt) -> list[Excerpt]:
    """The parts of the source that are encoded on trial."""
    facts = work.main.facts
    length = plan.length or plan.params.time_range.duration(facts.duration)
    if facts.format in WITHOUT_TIMESTAMPS | WRONG_DURATION or not length:
        return [_beginning(whole, _frames(plan, _COUNT * _SECONDS))]  # nothing else can be found in it
    pixels = plan.picture.stream.pixels
    if length <= _WHOLE and pixels <= _LARGE:
        return [whole]
    starts = (max(0.0, length * (number + 0.5) / _COUNT - _SECONDS / 2) for number in range(_COUNT))
    frames = min(_frames(plan, _SECONDS), max(12, _MOST_PIXELS // pixels))
    return [_sample(plan, plan.params.start + start, frames) for start in starts]


def _frames(plan: VideoPlan, seconds: float) -> int:
    return ceil((plan.picture.rate or _USUAL_RATE) * seconds)


def _sample(plan: VideoPlan, start: float, frames: int) -> Excerpt:
    """Where seeking is not exact, the sample begins a little later: that does not matter."""
    options = ("-frames:v", str(frames), *plan.picture.frames())
    return Excerpt(seek_option(start), options, output_limit(_SECONDS), frames, _SECONDS)


def _beginning(whole: Excerpt, frames: int) -> Excerpt:
    options = ("-frames:v", str(frames), *whole.frames)
    return Excerpt(whole.seek, options, whole.limit, frames, _COUNT * _SECONDS)


@dataclass(frozen=True, slots=True)
class Prober:
    """Probes one source for one encoder. What it measured is kept in the notes of the source's content."""

    work: Work[Any]
    plan: VideoPlan
    samples: list[Excerpt]

    @property
    def key(self) -> str:
        """All that the VMAF of a CRF depends on."""
        recipe = [
            [[sample.seek, sample.frames] for sample in self.samples],
            self.plan.picture.codec.encoder(1),
            [self._comparison.model, self._comparison.every],
        ]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()

    def known(self) -> dict[float, float]:
        return {float(crf): score for crf, score in (self.work.notes.get(self.key) or {}).items()}

    def keep(self, scores: dict[float, float]) -> None:
        self.work.notes[self.key] = {f"{crf:g}": score for crf, score in scores.items()}

    def probe(self, crf: float, share: tuple[float, float], verb: str) -> float:
        """The mean VMAF of the samples with this CRF. Samples without frames do not count."""
        begin, step = share[0], (share[1] - share[0]) / len(self.samples)
        scores, failures = list[float](), list[ToolFailed]()
        for number, sample in enumerate(self.samples):
            try:
                score = self._probe(sample, crf, (begin + number * step, begin + (number + 1) * step), verb)
            except ToolFailed as failure:  # where no frame was found, there is nothing to compare
                failures.append(failure)
            else:
                scores += [] if score is None else [score]
        if not scores:
            raise failures[0] if failures else BadMedia("The quality cannot be measured: no frame can be decoded.")
        return sum(scores) / len(scores)

    @property
    def _comparison(self) -> Comparison:
        frames = sum(sample.count or _COUNT * _SECONDS * _USUAL_RATE for sample in self.samples)
        every = min(5, step_for(frames, _ENOUGH))
        return Comparison(model_for(self.plan.picture.size), self.work.threads, every)

    def _probe(self, sample: Excerpt, crf: float, share: tuple[float, float], verb: str) -> float | None:
        picture = self.plan.picture
        encoded = Target(None, (*sample.frames, *picture.encoder(self.work.threads, crf)), is_decoded=True)
        command = Command(
            [sample.source(self.work.main, picture.stream.pixels)],
            [encoded, sample.raw, self._comparison.target],
            filters=self._comparison.filters("dec:0", "dec:1"),
            threads=self.work.threads,
            max_duration=sample.limit,
            verbose=True,
        )
        output = self.work.tools.ffmpeg(command, seconds=sample.seconds, frames=sample.count, share=share, verb=verb)
        return parse_vmaf(output)
