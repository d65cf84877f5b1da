"""ffmpeg filters for sound: silence in gaps, channels, and loudness by EBU R128."""

import json
import math
import re
from dataclasses import dataclass

from ...errors import BadMedia

PEAK = -1.0  # dBTP at most, by EBU R128
RANGE = 7.0  # LU: loudnorm's default. A wider range is kept

# Puts a silent sample into gaps between timestamps every 20 seconds; aresample fills the rest with silence. aresample
# alone makes all the silence of a gap at once, in three times its memory, and leaves out what does not fit.
_INTERVAL = 20
_MICROSECONDS = "asettb=1/1000000"  # the unit in which ainterleave counts, whatever its output says
_SAMPLES_IN_GAPS = (
    "asplit[sound][like];"
    f"[like]atrim=end_sample=1,volume=0,aloop=loop=-1:size=1,asetpts={_INTERVAL}*N/TB,{_MICROSECONDS}[beat];"
    f"[sound]{_MICROSECONDS}[timed];[timed][beat]ainterleave=duration=first,"
    f"aselect='gt(samples_n,1)+gt(t-if(isnan(prev_selected_t),0,prev_selected_t),{_INTERVAL})'"
)


_SIDES = {"left": "pan=mono|c0=c0", "right": "pan=mono|c0=c1"}


def sound_filters(layouts: str, channels: str | None = None) -> list[str]:
    """Fill gaps with silence, so that sound stays in step with the picture, and mix to `channels`: see Channels.

    None keeps the channels, or takes the nearest of `layouts` that the codec has; "" allows every layout.
    """
    steady = [_SAMPLES_IN_GAPS, "aresample=async=1:first_pts=0"]
    if channels in _SIDES:
        return [*steady, _SIDES[channels]]
    layout = channels or layouts
    return [*steady, *([f"aformat=channel_layouts={layout}"] if layout else [])]


def mono_samples(rate: float) -> list[str]:
    """One channel of 16-bit samples, with silence in gaps: each sample is at its time."""
    return [*sound_filters(""), f"aresample={rate:g}", "aformat=sample_fmts=s16:channel_layouts=mono"]


def measure_loudness(target: float) -> str:
    """The filter of the first pass: `parse_loudness` reads its report from ffmpeg's output."""
    return f"loudnorm=I={target:g}:TP={PEAK}:print_format=json"


@dataclass(frozen=True, slots=True)
class Loudness:
    """What loudnorm measured, in LUFS, dBTP and LU."""

    integrated: float
    peak: float
    range: float
    threshold: float

    @property
    def is_unknown(self) -> bool:
        """Silence, or less than the 0.4 s that R128 measures at a time. It ignores what is below -70 LUFS."""
        return not math.isfinite(self.integrated) or self.integrated <= -70

    def message(self, target: float) -> str:
        """What the owner should know if the sound does not get the loudness `target`."""
        if self.is_unknown:
            return "The loudness was not changed: the sound is silent, or too short to measure."
        if self.peak + target - self.integrated > PEAK:
            return f"The result may be quieter than {target:g} LUFS, so that its peaks are not distorted."
        return ""

    def normalize(self, target: float) -> str:
        """The filter of the second pass: one gain for the whole recording, as long as the peaks allow it."""
        measured = (
            f"measured_I={min(0.0, self.integrated):.2f}:measured_TP={self.peak:.2f}"
            f":measured_LRA={self.range:.2f}:measured_thresh={min(0.0, self.threshold):.2f}"
        )
        return f"loudnorm=I={target:g}:TP={PEAK}:LRA={min(50.0, max(RANGE, self.range)):.2f}:{measured}:linear=true"


def parse_loudness(output: str) -> Loudness:
    """Find loudnorm's report in the output of ffmpeg."""
    reports = re.findall(r"\{[^{}]*\"input_i\"[^{}]*\}", output)
    if not reports:
        raise BadMedia("No sound can be read from this file: it is damaged or cut off.", log=output[-2000:])
    report = json.loads(reports[-1])
    return Loudness(*(float(report[f"input_{name}"]) for name in ("i", "tp", "lra", "thresh")))
