"""The parameters of `detect`."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ...detection.detector import Detector, FilterDetector, FrameDetector
from ...detection.registry import detector_names, find_detector
from ..base import Params
from ..shared.parameters import as_list
from .plate_pattern import LONGEST, checked
from .region import Region, RegionShares


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """In the order of the registry, each once: what means the same is one cached result."""
    for name in names:
        if find_detector(name) is None:
            raise ValueError(f"has no “{name[:40]}”. Choose from: {', '.join(detector_names())}")
    known = detector_names()
    return (*(name for name in known if name in names), *sorted({name for name in names if name not in known}))


def _choices(schema: dict[str, Any]) -> None:
    """Detectors of plug-ins are not known when this module is imported."""
    schema["items"] = {"type": "string", "enum": detector_names()}


class DetectParams(Params):
    detectors: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=50, json_schema_extra=_choices),
        AfterValidator(_known),
        as_list,
    ] = Field(
        title="Detectors",
        description="What to look and listen for. All of them share one reading of the file. Models that an "
        "administrator has added are called onnx:NAME.",
    )
    frame_skip: int = Field(
        1, ge=1, le=1000, title="Frame skip", description="Look at every Nth frame: 1 is every frame."
    )
    max_fps: float = Field(
        5.0,
        ge=0.01,
        le=60,
        title="Frames a second",
        description="How many frames of each second to look at, at most.",
    )
    min_confidence: float = Field(
        0.5, ge=0, le=1, title="Least confidence", description="Ignore what a detector is less sure of."
    )
    region: RegionShares | None = Field(
        None,
        title="Region",
        description="Look only there: x, y, width and height, such as 10%, 20%, 50%, 50%. If left out: everywhere.",
    )
    plate_pattern: Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(checked)] | None = Field(
        None,
        title="Plate pattern",
        description="Only number plates that are as this regular expression says, such as [A-Z]{2}[0-9]{3}[A-Z]{2}.",
    )

    @property
    def chosen(self) -> Sequence[Detector]:
        return [found for name in self.detectors if (found := find_detector(name)) is not None]

    @property
    def filters(self) -> list[FilterDetector]:
        return [detector for detector in self.chosen if isinstance(detector, FilterDetector)]

    @property
    def lookers(self) -> list[FrameDetector]:
        return [detector for detector in self.chosen if isinstance(detector, FrameDetector)]

    def only(self, media: str) -> "DetectParams":
        """With those detectors alone that need the sound, or the picture: "audio" or "video"."""
        listening = [detector.name for detector in self.filters if detector.media == "audio"]
        names = tuple(name for name in self.detectors if (name in listening) == (media == "audio"))
        return self.model_copy(update={"detectors": names})

    @property
    def area(self) -> Region:
        return Region(*self.region) if self.region else Region()
