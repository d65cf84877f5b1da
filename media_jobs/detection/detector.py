"""The base classes of detectors. To add one, write one module in this package, one line in registry.py, and a test.

There are two kinds. A FilterDetector is a filter of ffmpeg, which describes frames while they are decoded. A
FrameDetector looks at the pictures themselves; it runs in the inference helper, so it may load any model.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .sightings import Find, Sighting

Picture = NDArray[np.uint8]  # rows, columns, and blue, green, red


class Detector(ABC):
    name: str
    title: ClassVar[str]  # shown to users: "Number plates"
    things: ClassVar[tuple[str, str]]  # one and many, in messages: "plate", "plates"
    unique: ClassVar[bool] = False  # whether messages count equal texts once: "5 unique plates"
    extra: ClassVar[str] = ""  # the name of the extra (understanding/extras.py) that it needs


@dataclass(frozen=True, slots=True)
class Marked:
    """A frame, or a piece of sound, that a filter has described."""

    time: float  # seconds
    values: Mapping[str, str]  # ffmpeg's metadata of the frame: {"lavfi.black_start": "4.2"}


class FilterDetector(Detector):
    media: ClassVar[Literal["video", "audio"]]
    keys: ClassVar[tuple[str, ...]]  # ffmpeg's metadata that `finds` reads: ("lavfi.black_start", "lavfi.black_end")
    # Seconds before a moment that the filters must have seen, to describe it as if they had seen all from the start.
    lead: ClassVar[float] = 1.0

    @abstractmethod
    def filters(self) -> Sequence[str]:
        """For ffmpeg, in their order: ["blackdetect=d=0.5:pix_th=0.10"]. They pass on every frame as it is."""

    @abstractmethod
    def finds(self, marked: Iterable[Marked], end: float) -> Sequence[Find]:
        """The events. `marked` has the frames with one of the keys at least, in the order of their times.

        It is read once: there may be a million, so they need not be in memory. The media end at `end` seconds.
        """


class Looker(Protocol):
    """A loaded detector in the inference helper. It keeps nothing of one frame for the next."""

    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        """What it sees in a frame. `before` is the sampled frame before it, if there is one."""


class FrameDetector(Detector):
    # A module with `load(threads, **options)`, which returns a Looker. It imports libraries of models only there.
    module: ClassVar[str]
    takes: ClassVar[tuple[str, ...]] = ()  # parameters of the operation that `load` gets, too, if they are given
    # Widths that a thing without text may move from one frame that is looked at to the next.
    reach: ClassVar[float] = 0.5
    least_sightings: ClassVar[int] = 2  # of a find: what is seen less often is taken for an error

    def with_models(self, models: Mapping[str, str]) -> "FrameDetector":
        """Itself, with the files of its model. `models`: what the administrator chose, by extra. Raises NoModel."""
        return self

    def options(self) -> Mapping[str, str]:
        """Of `load`, as JSON."""
        return {}

    def identity(self) -> str:
        """Changes with the model: results of another one are no results of this."""
        return ""

    def files(self) -> Sequence[Path]:
        """What `load` reads, besides code and installed packages."""
        return ()
