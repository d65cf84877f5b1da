"""The operation `detect`: what is seen and heard in a file, when, and where in the picture."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..detection.detector import Detector, FrameDetector
from ..detection.registry import package_of
from ..ffmpeg.probing.media_facts import Facts
from ..understanding.extras import NoModel
from .base import HEAVY, INFERENCE, Outcome, Output, Work
from .detecting.conclusion import conclude
from .detecting.extent import Extent
from .detecting.parameters import DetectParams
from .detecting.record import Record, made_in
from .detecting.span import Span, spans
from .detecting.span_reader import SpanReader
from .detecting.tally import processed_in_parts
from .divisible import DivisibleOperation, DonePart, Indivisible, Part, PartState
from .shared.time_range import TimeRange, is_duration_estimated

_LENGTH = 30.0  # seconds of a span: what a killed worker costs
_LEAD = 1.0  # seconds before a span that are read, too
_SOUND_COST = 0.02  # of that of a picture of the same length
_READ = 0.98  # of the progress, when all is read


class Detect(DivisibleOperation[DetectParams]):
    name = "detect"
    version = 1
    title = "Detect"
    summary = "Finds number plates, texts, motion, scenes, black or frozen pictures and silence, with their times."
    lane = HEAVY
    kinds = frozenset({"video", "audio"})
    parameters = DetectParams

    def lane_of(self, params: DetectParams) -> str:
        return INFERENCE if self.extras_of(params) else HEAVY

    def parts_lane_of(self, params: DetectParams) -> str:
        return self.lane_of(params)

    def parts_share(self, params: DetectParams) -> float:
        return _READ

    def extras_of(self, params: DetectParams) -> Collection[str]:
        return list(dict.fromkeys(detector.extra for detector in params.chosen if detector.extra))

    def model_identity(self, params: DetectParams, models: Mapping[str, str]) -> str | None:
        found = [
            f"{detector.name} {identity}" for detector in params.chosen if (identity := _identity(detector, models))
        ]
        return ", ".join(found) or None

    def check_models(self, params: DetectParams, models: Mapping[str, str]) -> None:
        for detector in params.lookers:
            detector.with_models(models)

    def check(self, params: DetectParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            TimeRange().check(Extent.of(params, facts).duration)

    def run(self, work: Work[DetectParams]) -> Outcome:
        """The whole file as one span."""
        self.check(work.params, work.main.kind, work.main.facts)
        extent = Extent.of(work.params, work.main.facts)
        SpanReader(work, extent, Span(), (0.0, _READ)).read()
        return conclude(work, [Record(0, made_in(work.folder, work.params.filters))], extent.frames(Span()))

    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        return facts.duration is None or facts.duration >= least

    def split(self, work: Work[DetectParams], slots: int) -> Sequence[Part] | Outcome:
        params, facts = work.params, work.main.facts
        self.check(params, work.main.kind, facts)
        extent = Extent.of(params, facts)
        if extent.picture is None:
            raise Indivisible("sound alone is read quickly")
        if is_duration_estimated(facts) or extent.duration is None:
            raise Indivisible("its container does not find times exactly")
        if extent.picture.is_variable and params.filters:
            raise Indivisible("a frame may be shown for longer than a span")
        steps = [2 / params.max_fps, 2 / (extent.rate or params.max_fps)]
        lead = max([_LEAD, *steps, *(detector.lead for detector in params.filters)])
        parts = [
            _part("video", span, span.seconds(extent.duration) or _LENGTH, extent.frames(span))
            for span in spans(extent.duration, _LENGTH, lead)
        ]
        # All of the sound at once: that takes seconds, and filters of sound begin at the beginning.
        sound = [_part("audio", Span(), _SOUND_COST * extent.duration)] if extent.sound else []
        return [*parts, *sound]

    def message_of_parts(self, params: DetectParams, parts: Sequence[PartState]) -> str:
        return processed_in_parts(params.chosen, [(part.spec["frames"], part.message) for part in parts])

    def run_part(self, work: Work[DetectParams], spec: Mapping[str, Any]) -> Outcome:
        part = replace(work, params=work.params.only(spec["media"]))
        reader = SpanReader(part, Extent.of(part.params, work.main.facts), Span(**spec["span"]))
        message = reader.message_of(reader.read())
        made = made_in(work.folder, part.params.filters)
        return Outcome([Output(name, path, "", "", None) for name, path in made.items()], message=message)

    def join(self, work: Work[DetectParams], parts: Sequence[DonePart]) -> Outcome:
        records = [Record(number, part.files) for number, part in enumerate(parts)]
        return conclude(work, records, Extent.of(work.params, work.main.facts).frames(Span()))


def _identity(detector: Detector, models: Mapping[str, str]) -> str:
    if package := package_of(detector.name):
        return package  # another version may find something else
    if not isinstance(detector, FrameDetector):
        return ""
    try:
        return detector.with_models(models).identity()
    except NoModel:  # workers on other hosts have it
        return "elsewhere"


def _part(media: str, span: Span, weight: float, frames: int | None = None) -> Part:
    return Part({"media": media, "span": span.spec, "frames": frames or 0}, weight)
