"""What a detector of an installed package must have, to be used."""

import json
from collections.abc import Iterator

from ..entry_points import PluginGroup
from .detector import Detector, FilterDetector, FrameDetector


def _problems(detector: Detector) -> Iterator[str]:
    if not (isinstance(detector.title, str) and detector.title):
        yield "Its title must be text."
    if len(detector.things) != 2 or not all(isinstance(thing, str) and thing for thing in detector.things):
        yield "Its things must be two words: one and many."
    if detector.extra:
        yield "It may not need an extra: its package must depend on what it needs."
    if isinstance(detector, FilterDetector):
        yield from _wrong_filters(detector)
    elif isinstance(detector, FrameDetector):
        yield from _wrong_module(detector)
    else:
        yield "It must be a FilterDetector or a FrameDetector."


def _wrong_filters(detector: FilterDetector) -> Iterator[str]:
    if getattr(detector, "media", "") not in {"video", "audio"}:
        yield "Its media must be video or audio."
    if not getattr(detector, "keys", ()):
        yield "It has no keys."
    if not all(isinstance(name, str) and name for name in detector.filters()):
        yield "Its filters must be text."


def _wrong_module(detector: FrameDetector) -> Iterator[str]:
    if not isinstance(getattr(detector, "module", None), str):
        yield "It has no module."
    json.dumps(dict(detector.options()))


DETECTORS: PluginGroup[Detector] = PluginGroup("millrace.detectors", Detector, ("name", "title", "things"), _problems)
