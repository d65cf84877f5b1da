"""Measures how near an encoded picture is to its source: VMAF, from 0 to 100.

Both pictures must be the same frames: one frame of misalignment costs 50 points. Time stamps cannot pair them, as a
steady rate moves frames, and containers round. So the source passes a second time through the filters and the frame
rate of the encode, into "encoded" raw frames, and the two are paired by their number.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...ffmpeg.command import Command, Source, Target
from ..base import Input, Tools

# A model for screens in high definition at three times their height, and one for 4K at one and a half times.
MODEL, MODEL_4K = "vmaf_v0.6.1", "vmaf_4k_v0.6.1"
_LARGE = 2560 * 1440  # pixels: above, the model for 4K
SMALLEST = 32  # pixels on each side: VMAF compares down to an eighth of the size
# One frame in 1, 3, 5… is compared. B frames are worse than others: no step is a multiple of their usual distances.
_STEPS = (1, 3, 5, 7, 11, 13, 17, 19, 23)
_ENOUGH = 1500  # frames compared in a whole video


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The source or a part of it, as the encoder gets its frames."""

    seek: tuple[str, ...]  # options of the source
    frames: tuple[str, ...]  # options of the target: mapping, filters, frame rate
    limit: float  # seconds of output, after which ffmpeg is stopped
    count: int | None = None  # of its frames
    seconds: float | None = None

    def source(self, main: Input, pixels: int) -> Source:
        return Source(main.path, main.facts.format, self.seek, pixels)

    @property
    def raw(self) -> Target:
        """Its frames for a filter, exactly as the encoder gets them."""
        return Target(None, (*self.frames, "-c:v", "rawvideo"), is_decoded=True)


@dataclass(frozen=True, slots=True)
class Comparison:
    model: str
    threads: int
    every: int  # the step from one compared frame to the next

    def filters(self, distorted: str, reference: str) -> str:
        numbered = "format=yuv420p,settb=1/25,setpts=N"
        options = f"model=version={self.model}:n_threads={self.threads}:n_subsample={self.every}:shortest=1"
        return f"[{distorted}]{numbered}[d];[{reference}]{numbered}[r];[d][r]libvmaf={options}[vmaf]"

    @property
    def target(self) -> Target:
        return Target(None, ("-map", "[vmaf]"))


def model_for(size: tuple[int, int]) -> str:
    return MODEL_4K if size[0] * size[1] > _LARGE else MODEL


def step_for(frames: float, enough: int = _ENOUGH) -> int:
    """The largest step from one compared frame to the next that leaves enough of these frames."""
    return max((step for step in _STEPS if frames / step >= enough), default=1)


def parse_vmaf(output: str) -> float | None:
    """Find the score in what ffmpeg wrote; None if there were no frames to compare."""
    scores = re.findall(r"VMAF score: (\d+(?:\.\d+)?)", output)
    return min(100.0, float(scores[-1])) if scores else None


def measure(
    tools: Tools, main: Input, made: Source, excerpt: Excerpt, comparison: Comparison, *,
    pixels: int, share: tuple[float, float],
) -> float | None:  # fmt: skip
    """The VMAF of a finished video `made` of this excerpt of the main input."""
    sources: Sequence[Source] = [excerpt.source(main, pixels), made]
    command = Command(
        sources,
        [excerpt.raw, comparison.target],
        filters=comparison.filters("1:v:0", "dec:0"),
        threads=comparison.threads,
        max_duration=excerpt.limit,
        verbose=True,
    )
    verb = "Measuring quality:"
    return parse_vmaf(tools.ffmpeg(command, seconds=excerpt.seconds, frames=excerpt.count, share=share, verb=verb))
