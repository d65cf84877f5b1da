"""The facts of a media file: its format, duration and streams. They are stored as JSON and shown to users."""

from pydantic import BaseModel, ConfigDict


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class VideoStream(_Facts):
    index: int
    codec: str
    width: int  # as displayed: after rotation, with square pixels
    height: int
    coded_width: int
    coded_height: int
    rotation: int = 0  # degrees clockwise, to display it upright
    fps: float | None = None  # average frames a second
    is_variable: bool = False  # the frame rate varies
    frames: int | None = None
    pixel_format: str = ""
    bit_depth: int = 8
    hdr: str = ""  # "pq" or "hlg"
    is_picture: bool = False  # cover art
    end: float | None = None  # when the stream ends, in seconds from the beginning of the file

    @property
    def pixels(self) -> int:
        """Pixels of one frame: as coded or as displayed, whichever is more."""
        return max(self.width * self.height, self.coded_width * self.coded_height)


class AudioStream(_Facts):
    index: int
    codec: str
    channels: int
    layout: str = ""  # "stereo", "5.1"
    sample_rate: int
    language: str = ""
    end: float | None = None  # see VideoStream


class SubtitleStream(_Facts):
    index: int
    codec: str
    language: str = ""


class Facts(_Facts):
    format: str  # the name of the demuxer, for `-f`
    duration: float | None = None  # seconds
    begin: float = 0.0  # its first time stamp, in seconds, from which players count
    bit_rate: int | None = None
    title: str = ""
    video: list[VideoStream] = []
    audio: list[AudioStream] = []
    subtitles: list[SubtitleStream] = []

    @property
    def picture(self) -> VideoStream | None:
        """The first video stream that is not cover art."""
        return next((stream for stream in self.video if not stream.is_picture), None)
