"""The facts of a media file: its format, duration and streams. They are stored as JSON and shown to users.

Titles, languages and tags come from strangers: they are cleaned and cut here, whatever the child process answers.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from ..error_output import clean_text

FACTS_VERSION = 2  # increase it when the probe reads more: workers then read the facts of older files anew
MAX_TEXT = 200  # characters of a title or a tag
MAX_CHAPTERS = 100
MAX_TAGS = 30


def tidy(text: Any) -> Any:
    """One line without control characters and halves of surrogate pairs, which PostgreSQL cannot store."""
    if not isinstance(text, str):
        return text
    return clean_text(" ".join(text[: 4 * MAX_TEXT].split()))[:MAX_TEXT].encode(errors="replace").decode()


def _first_tags(tags: Any) -> Any:
    if not isinstance(tags, dict):
        return tags
    cleaned = {tidy(name)[:40]: tidy(value) for name, value in list(tags.items())[:MAX_TAGS]}
    return {name: value for name, value in cleaned.items() if name and value}


def _first_chapters(chapters: Any) -> Any:
    return chapters[:MAX_CHAPTERS] if isinstance(chapters, list) else chapters


Text = Annotated[str, BeforeValidator(tidy)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Chapter(_Facts):
    start: float  # seconds from the beginning of the file
    end: float
    title: Text = ""


class _Stream(_Facts):
    index: int
    codec: Text
    profile: Text = ""  # of the codec: "High", "LC"
    language: Text = ""  # as the file names it: "eng", or "en-GB"
    title: Text = ""
    dispositions: list[Text] = []  # "default", "forced", "hearing_impaired" and others of ffmpeg
    begin: float | None = None  # when the stream begins, in seconds from the beginning of the file
    end: float | None = None  # when it ends
    bit_rate: int | None = None  # bits a second, if the file says it


class VideoStream(_Stream):
    width: int  # as displayed: after rotation, with square pixels
    height: int
    coded_width: int
    coded_height: int
    rotation: int = 0  # degrees clockwise, to display it upright
    sample_aspect: Text = ""  # of a pixel: "1:1", "16:11"; empty if unknown
    display_aspect: Text = ""  # of the picture as displayed: "16:9"
    fps: float | None = None  # average frames a second
    is_variable: bool = False  # the frame rate varies
    frames: int | None = None
    pixel_format: Text = ""
    bit_depth: int = 8
    field_order: Text = ""  # "progressive"; interlaced: "top" or "bottom" first, or "interlaced"
    hdr: Text = ""  # "pq" or "hlg"
    mastering_luminance: tuple[float, float] | None = None  # of the mastering display (HDR10), in cd/m²: least, most
    max_content_light: int | None = None  # MaxCLL (HDR10), in cd/m²
    max_average_light: int | None = None  # MaxFALL (HDR10), in cd/m²
    is_dolby_vision: bool = False
    color_primaries: Text = ""  # "bt709", "bt2020"; empty if unknown
    is_picture: bool = False  # cover art
    is_decoded: bool = True  # whether its first frame could be decoded
    is_open_gop: bool = False  # frames after a key frame need frames before it
    has_preroll: bool = False  # the first frames are decoded but not shown, because an edit list hides them

    @property
    def pixels(self) -> int:
        """Pixels of one frame: as coded or as displayed, whichever is more."""
        return max(self.width * self.height, self.coded_width * self.coded_height)

    @property
    def is_interlaced(self) -> bool:
        return self.field_order in {"top", "bottom", "interlaced"}


class AudioStream(_Stream):
    channels: int
    layout: Text = ""  # "stereo", "5.1"
    sample_rate: int


class SubtitleStream(_Stream):
    pass


class Facts(_Facts):
    version: int = 1
    format: Text  # the name of the demuxer, for `-f`
    duration: float | None = None  # seconds
    begin: float = 0.0  # its first time stamp, in seconds, from which players count
    bit_rate: int | None = None
    title: Text = ""
    timecode: Text = ""  # of the first frame: "01:00:00:00"
    index: Text = ""  # of an MP4 or MOV: "first" or "last" in the file, or "fragments"
    is_cut_off: bool = False  # the end of an MP4 or MOV is missing
    video: list[VideoStream] = []
    audio: list[AudioStream] = []
    subtitles: list[SubtitleStream] = []
    chapters: Annotated[list[Chapter], BeforeValidator(_first_chapters)] = []
    chapter_count: int = 0  # of all; only the first ones are in `chapters`
    tags: Annotated[dict[str, str], BeforeValidator(_first_tags)] = {}  # such as artist, creation_time, location
    tags_size: int = 0  # bytes of all tags, also of those that are cut or left out here
    notes: list[str] = []  # codes of what is odd: see notes.py

    @property
    def picture(self) -> VideoStream | None:
        """The first video stream that is not cover art."""
        return next((stream for stream in self.video if not stream.is_picture), None)

    @property
    def cover(self) -> VideoStream | None:
        """The first cover art."""
        return next((stream for stream in self.video if stream.is_picture), None)

    @property
    def is_outdated(self) -> bool:
        """Whether an earlier version read them, which read less."""
        return self.version < FACTS_VERSION


def stored_facts(stored: Any) -> Facts | None:
    """Facts from their JSON. None if there is none, or another version wrote what this one cannot read."""
    if not stored:
        return None
    try:
        return Facts.model_validate(stored)
    except ValidationError:
        return None


def current_facts(stored: Any) -> Facts | None:
    """Facts that need not be read again: see FACTS_VERSION."""
    facts = stored_facts(stored)
    return None if facts is None or facts.is_outdated else facts
