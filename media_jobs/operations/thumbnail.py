"""The operation `thumbnail`: one image of a video, at a given time or a clear and well lit one."""

from typing import Literal

from pydantic import Field

from ..errors import UnfitMedia
from ..ffmpeg.probing.media_facts import Facts
from .base import QUICK, Operation, Outcome, Params, Work
from .shared.best_frame import best_frame
from .shared.parameters import Moment
from .shared.still_images import FrameExtractor, require_picture
from .shared.time_range import TOLERANCE


class ThumbnailParams(Params):
    at: Moment = Field(
        "best",
        title="Time",
        description="Seconds, a time such as 1:30, a percentage such as 50%, or best: a clear and well lit frame.",
    )
    width: int = Field(
        640, ge=16, le=3840, title="Width", description="In pixels. A smaller picture is not enlarged."
    )
    format: Literal["jpg", "png", "webp"] = Field("jpg", title="Format")


class Thumbnail(Operation[ThumbnailParams]):
    name = "thumbnail"
    version = 2
    title = "Thumbnail"
    summary = "Makes one image of a video, at a given time or at the best moment, or a smaller version of an image."
    lane = QUICK
    kinds = frozenset({"video", "image"})
    parameters = ThumbnailParams

    def check(self, params: ThumbnailParams, kind: str, facts: Facts | None) -> None:
        if facts is None:
            return
        require_picture(facts)
        length = facts.duration
        if kind == "video" and length and isinstance(params.at, float) and params.at > length + TOLERANCE:
            raise UnfitMedia(f"at is {params.at:g} s, but the video lasts only {length:.1f} s. Choose a time in it.")

    def run(self, work: Work[ThumbnailParams]) -> Outcome:
        params, facts = work.params, work.main.facts
        self.check(params, work.main.kind, facts)
        extractor = FrameExtractor(
            work.tools, work.main.path, facts, work.folder,
            threads=work.threads, width=params.width, format=params.format,
        )  # fmt: skip
        time = _seconds(params.at, facts.duration) if work.main.kind == "video" else 0.0
        path = best_frame(extractor) if time is None else extractor.at(time)
        return Outcome([extractor.output(path, "thumbnail")])


def _seconds(at: float | str, duration: float | None) -> float | None:
    """The time in seconds; None for "best", and for a share of an unknown duration."""
    if isinstance(at, float):
        return at
    if at == "best" or duration is None:
        return None
    return float(at.removesuffix("%")) / 100 * duration
