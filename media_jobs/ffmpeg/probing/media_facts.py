"""What can be known of a media file without decoding it. Plain values: they are kept as JSON and shown to people."""

from pydantic import BaseModel, ConfigDict


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class VideoStream(_Facts):
    index: int
    codec: str
    width: int  # as shown: rotation and pixel shape applied
    height: int
    coded_width: int
    coded_height: int
    rotation: int = 0  # degrees clockwise, to be shown upright
    fps: float | None = None  # on average
    is_variable: bool = False  # frames come at no steady rate
    frames: int | None = None
    pixel_format: str = ""
    bit_depth: int = 8
    hdr: str = ""  # "pq" or "hlg"
    is_picture: bool = False  # cover art
    end: float | None = None  # seconds from the beginning of the file to the stream's end

    @property
    def pixels(self) -> int:
        """Of one frame, as it is in the file or as it is shown, whichever are more."""
        return max(self.width * self.height, self.coded_width * self.coded_height)


class AudioStream(_Facts):
    index: int
    codec: str
    channels: int
    layout: str = ""  # "stereo", "5.1"
    sample_rate: int
    language: str = ""
    end: float | None = None  # as a VideoStream's


class SubtitleStream(_Facts):
    index: int
    codec: str
    language: str = ""


class Facts(_Facts):
    format: str  # the demuxer's name, as `-f` takes it
    duration: float | None = None  # seconds
    bit_rate: int | None = None
    title: str = ""
    video: list[VideoStream] = []
    audio: list[AudioStream] = []
    subtitles: list[SubtitleStream] = []

    @property
    def picture(self) -> VideoStream | None:
        """The video stream that people mean: no cover art."""
        return next((stream for stream in self.video if not stream.is_picture), None)
