"""Parameters of operations that encode a video: their types, which operations share, and those of `transcode`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ..base import Params
from .channels import Channels
from .codecs import VIDEO
from .metadata import Metadata
from .parameters import Bitrate, End, ParameterError, Start
from .time_range import TimeRange

MAX_FPS = 240.0  # a higher rate in a file is not its frame rate

Codec = Annotated[
    Literal["h264", "hevc", "vp9", "av1"],
    Field(
        title="Codec",
        description="h264 plays everywhere. hevc, vp9 and av1 make smaller files, but take longer.",
    ),
]
Height = Annotated[
    Annotated[int, Field(ge=16, le=4320)] | None,
    Field(
        title="Height",
        description="In pixels. A smaller picture is not enlarged. If left out: the original height.",
    ),
]
_Named = Literal["low", "medium", "high"]
_Crf = Annotated[int, Field(ge=0, le=63)]
Quality = Annotated[
    _Named | _Crf,
    Field(
        title="Quality",
        description="low, medium, high, or a CRF of the codec: lower numbers mean better quality and larger files.",
    ),
]
_VMAF = "vmaf:"
VmafTarget = Annotated[
    str,
    Field(
        pattern=r"^vmaf:[6-9]\d(\.\d{1,2})?$",
        description=f"{_VMAF}60 to {_VMAF}99.99",
        examples=[f"{_VMAF}93"],
    ),
    AfterValidator(lambda text: f"{_VMAF}{float(text.removeprefix(_VMAF)):g}"),
]
QualityOrTarget = Annotated[
    _Named | _Crf | VmafTarget,
    Field(
        title="Quality",
        description="low, medium, high, or a CRF of the codec: lower numbers mean better quality and larger files. "
        "Or a target such as vmaf:93: the CRF is searched that gives this VMAF; 93 looks like the original.",
    ),
]
FrameRate = Annotated[
    Annotated[float, Field(ge=1, le=MAX_FPS)] | None,
    Field(
        title="Frames per second",
        description="If left out: as in the original, also if its rate varies.",
    ),
]
Sound = Annotated[
    Literal["auto", "aac", "opus", "copy", "none"],
    Field(
        title="Sound",
        description="auto: aac for h264 and hevc, opus for vp9 and av1. copy: as in the original. none: no sound.",
    ),
]
Tracks = Annotated[
    Literal["first", "all"],
    Field(
        title="Tracks",
        description="first: the first sound of the original. all: every sound, and the subtitles that are text.",
    ),
]
SoundBitrate = Annotated[
    Bitrate | None,
    Field(
        title="Sound bitrate",
        description="In kbit/s. If left out: a usual value for the codec and the number of channels.",
    ),
]


class TranscodeParams(Params):
    codec: Codec = "h264"
    height: Height = None
    quality: QualityOrTarget = "medium"
    fps: FrameRate = None
    start: Start = 0.0
    end: End = None
    audio: Sound = "auto"
    audio_bitrate: SoundBitrate = None
    channels: Channels = None
    tracks: Tracks = "first"
    metadata: Metadata = "keep"

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start, self.end)

    @property
    def vmaf(self) -> float | None:
        """The VMAF that the video shall have; None if its CRF is given."""
        is_target = isinstance(self.quality, str) and self.quality.startswith(_VMAF)
        return float(str(self.quality).removeprefix(_VMAF)) if is_target else None

    @model_validator(mode="after")
    def _check_combinations(self) -> "TranscodeParams":
        worst = VIDEO[self.codec].worst
        if isinstance(self.quality, int) and self.quality > worst:
            raise ParameterError("quality", f"must be between 0 and {worst} for {self.codec}")
        for name in ("audio_bitrate", "channels"):
            if getattr(self, name) is not None and self.audio in {"copy", "none"}:
                raise ParameterError(name, f"cannot be set if audio is {self.audio}")
        return self
