"""The parameters of `render`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from ..base import Params
from ..shared.codecs import VIDEO
from ..shared.parameters import ParameterError, Seconds
from ..shared.video_parameters import Codec, Quality, SoundBitrate
from .text_encodings import ENCODINGS

MAX_CLIPS = 50
MAX_RATE = 120.0
LONGEST_FADE = 30.0
MAX_FILE_NUMBER = 63  # a request has at most 64 further inputs


def _file(value: Any) -> Any:
    """A number, or an id."""
    if isinstance(value, UUID):
        return value
    text = "" if isinstance(value, bool) else str(value).strip()
    if text.isascii() and text.isdigit() and int(text[:3]) <= MAX_FILE_NUMBER:
        return int(text[:3])
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be the id of a file, or a number: 0 is the main file, 1 the first of inputs") from None


_FILE = {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "integer"}]}
# After submission it is always a number: 0 is the main file, and 1 the first of the further inputs.
FileReference = Annotated[int | UUID, BeforeValidator(_file), WithJsonSchema(_FILE)]
Fade = Annotated[float, Field(ge=0, le=LONGEST_FADE)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
Percent = Annotated[float, Field(ge=0, le=40)]


class Clip(Params):
    file: FileReference = Field(0, title="File", description="The id of a file, or its number among the inputs.")
    start: Seconds = Field(0.0, title="Start", description="Seconds from the beginning, or a time such as 1:30.")
    end: Seconds | None = Field(None, title="End", description="If left out: the end of the file.")
    duration: Seconds | None = Field(
        None, title="Duration", description="In seconds, instead of the end. An image needs it."
    )
    fade_in: Fade = Field(0.0, title="Fade in", description="Seconds in which it appears out of black and silence.")
    fade_out: Fade = Field(0.0, title="Fade out", description="Seconds in which it fades to black and silence.")

    @model_validator(mode="after")
    def _check_times(self) -> "Clip":
        if self.end is not None and self.duration is not None:
            raise ValueError("give end or duration, not both")
        if self.end is not None and self.end <= self.start:
            raise ValueError("end must be after start")
        if self.duration == 0:
            raise ValueError("duration must be more than 0")
        if self.length is not None and self.fade_in + self.fade_out > self.length:
            raise ValueError("its fades are longer than the clip")
        return self

    @property
    def length(self) -> float | None:
        """In seconds. None: up to the end of the file."""
        if self.duration is not None:
            return self.duration
        return None if self.end is None else self.end - self.start


class Style(Params):
    size: Annotated[float, Field(ge=1, le=20)] = Field(5.0, title="Size", description="In percent of the height.")
    colour: Colour = Field("#ffffff", title="Colour")
    outline: Annotated[float, Field(ge=0, le=5)] = Field(
        0.4, title="Outline", description="In percent of the height; around the box, if there is one."
    )
    outline_colour: Colour = Field("#000000", title="Colour of the outline, or of the box")
    box: bool = Field(False, title="Box", description="A filled box behind the text.")
    bold: bool = Field(False, title="Bold")
    italic: bool = Field(False, title="Italic")
    position: Literal["bottom", "middle", "top"] = Field("bottom", title="Position")
    align: Literal["left", "center", "right"] = Field("center", title="Alignment")
    margin: Percent = Field(5.0, title="Margin", description="Distance from the edges, in percent of the height.")


class RenderParams(Params):
    clips: Annotated[tuple[Clip, ...], Field(min_length=1, max_length=MAX_CLIPS)] = Field(
        title="Clips",
        description="A list of parts of files, in the order of the result, such as "
        '[{"file": "ID", "start": 1, "end": 5.5}, {"file": "ID", "duration": 3, "fade_out": 1}].',
        examples=[[{"file": 0}]],
    )
    width: Annotated[int, Field(ge=16, le=7680)] | None = Field(
        None, title="Width", description="In pixels. If left out: as the first video has it."
    )
    height: Annotated[int, Field(ge=16, le=4320)] | None = Field(
        None, title="Height", description="In pixels. If left out: as the first video has it."
    )
    fit: Literal["pad", "crop"] = Field(
        "pad", title="Fit", description="What happens to clips of another shape: black bars, or cut edges."
    )
    fps: Annotated[float, Field(ge=1, le=MAX_RATE)] | None = Field(
        None, title="Frames per second", description="If left out: as the first video has it."
    )
    codec: Codec = "h264"
    quality: Quality = "medium"
    soundtrack: FileReference | None = Field(
        None, title="Soundtrack", description="The file whose sound is used: its id, or its number."
    )
    soundtrack_mode: Literal["replace", "mix", "duck"] = Field(
        "replace",
        title="Soundtrack mode",
        description="replace: instead of the sound of the clips. mix: under it. duck: under it, and quieter while "
        "the clips are loud.",
    )
    soundtrack_volume: Annotated[float, Field(ge=-60, le=20)] = Field(
        0.0, title="Soundtrack volume", description="In dB: negative values make it quieter."
    )
    soundtrack_start: Seconds = Field(0.0, title="Soundtrack start", description="Where in that file it begins.")
    soundtrack_loop: bool = Field(False, title="Repeat the soundtrack", description="Until the video ends.")
    loudness: Annotated[float, Field(ge=-36, le=-9)] | None = Field(
        None,
        title="Loudness",
        description="The target in LUFS, by EBU R128: -23 for broadcasting, -16 for the web. If left out: unchanged.",
    )
    audio: Literal["auto", "aac", "opus", "none"] = Field(
        "auto",
        title="Sound",
        description="auto: aac for h264 and hevc, opus for vp9 and av1. none: no sound.",
    )
    audio_bitrate: SoundBitrate = None
    subtitles: FileReference | None = Field(
        None,
        title="Subtitles",
        description="The srt, vtt or ass file that is burnt into the picture, with times of the result.",
    )
    subtitles_encoding: Literal[ENCODINGS] = Field(  # type: ignore[valid-type]
        "auto",
        title="Encoding of the subtitles",
        description="auto recognizes UTF-8, UTF-16 and the encoding of western languages, Windows-1252.",
    )
    style: Style = Field(
        Style.model_validate({}),
        title="Style of the subtitles",
        description='Such as {"size": 5, "colour": "#ffff00", "box": true}. An ass file has its own.',
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "RenderParams":
        if isinstance(self.quality, int) and self.quality > (worst := VIDEO[self.codec].worst):
            raise ParameterError("quality", f"must be between 0 and {worst} for {self.codec}")
        if self.audio == "none":
            for name in ("audio_bitrate", "loudness", "soundtrack"):
                if getattr(self, name) is not None:
                    raise ParameterError(name, "cannot be set if audio is none")
        return self

    def references(self) -> Iterator[int | UUID]:
        """All references to files, in the order in which they are numbered."""
        yield from (clip.file for clip in self.clips)
        yield from (each for each in (self.soundtrack, self.subtitles) if each is not None)

    def with_files(self, names: Mapping[int | UUID, int | UUID]) -> "RenderParams":
        """A copy with other names of files."""

        def named(reference: int | UUID | None) -> int | UUID | None:
            return None if reference is None else names.get(reference, reference)

        clips = tuple(clip.model_copy(update={"file": named(clip.file)}) for clip in self.clips)
        others = {"soundtrack": named(self.soundtrack), "subtitles": named(self.subtitles)}
        return self.model_copy(update={"clips": clips, **others})
