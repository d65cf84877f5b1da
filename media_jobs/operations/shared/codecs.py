"""The codecs that operations encode to, and the containers that can hold them. A new codec is a row in a table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ...ffmpeg.probing.media_facts import AudioStream

Options = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VideoCodec:
    name: str
    encoder: Callable[[int], Options]  # options for a number of threads
    container: str  # the usual one
    crf: Mapping[str, int]  # for low, medium and high quality
    worst: int  # the highest CRF
    best: int  # the lowest CRF that players can decode
    measuring: float  # what measuring the VMAF of a film costs, in times its encode
    slope: float  # by about how much VMAF falls for each CRF, near 90
    step: float = 1  # of the CRFs that the encoder tells apart
    smallest: int = 2  # the least width and height in pixels
    tag: Options = ()  # when its packets are copied

    def crf_of(self, quality: int | str) -> int:
        """The CRF of low, medium or high; or the one that is given."""
        return quality if isinstance(quality, int) else self.crf[quality]

    def sound_of(self, audio: str) -> str:
        """The audio codec that is meant: “auto” is the usual one of its container."""
        usual = "opus" if self.container == "webm" else "aac"
        return usual if audio == "auto" else audio


@dataclass(frozen=True, slots=True)
class AudioCodec:
    name: str
    encoder: Options
    layouts: str = ""  # channel layouts that every decoder knows; "" for any
    max_channels: int = 64
    bitrate: int | None = None  # kbit/s, the default for stereo; None for a lossless codec
    max_bitrate: int = 0  # kbit/s
    max_bitrate_per_channel: int = 512
    deep_encoder: Options = ()  # for sources of more than 16 bits, where there is another encoder


@dataclass(frozen=True, slots=True)
class Container:
    name: str  # also the file extension
    media_type: str
    muxer: Options
    video: frozenset[str]
    audio: frozenset[str]  # ffmpeg's names of codecs
    demuxer: str
    subtitles: str  # ffmpeg's name of the encoder for text; "copy": it holds those of every file


_HVC1 = ("-tag:v:0", "hvc1")  # Apple's players need it


def _x265(threads: int) -> Options:
    # Without a pool size x265 uses every core.
    return (
        "-c:v",
        "libx265",
        "-preset",
        "fast",
        *_HVC1,
        "-x265-params",
        f"log-level=error:pools={threads}",
    )


def _vp9(threads: int) -> Options:
    speed = ("-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-tile-columns", "2")
    return ("-c:v", "libvpx-vp9", "-b:v", "0", *speed)


def _svtav1(threads: int) -> Options:
    return ("-c:v", "libsvtav1", "-preset", "8", "-svtav1-params", f"lp={threads}")


def _x264(_: int) -> Options:
    return ("-c:v", "libx264", "-preset", "fast")


VIDEO = {
    codec.name: codec
    for codec in (
        # CRF 0 of x264 is lossless, in a profile that no browser plays.
        VideoCodec(
            "h264", _x264, "mp4", {"low": 28, "medium": 23, "high": 18}, worst=51, best=1, measuring=0.4, slope=1.2,
            step=0.25,
        ),
        VideoCodec(
            "hevc", _x265, "mp4", {"low": 28, "medium": 22, "high": 16}, worst=51, best=1, measuring=0.25, slope=0.9,
            step=0.25, smallest=16, tag=_HVC1,
        ),
        VideoCodec(
            "vp9", _vp9, "webm", {"low": 42, "medium": 32, "high": 22}, worst=63, best=1, measuring=0.15, slope=0.45
        ),
        VideoCodec(
            "av1", _svtav1, "webm", {"low": 50, "medium": 36, "high": 20}, worst=63, best=1, measuring=0.3, slope=0.45
        ),
    )
}  # fmt: skip

_FLAC = ("-c:a", "flac", "-sample_fmt")
_LAYOUTS = "mono|stereo|5.1"  # opus refuses many other layouts

AUDIO = {
    codec.name: codec
    for codec in (
        AudioCodec("aac", ("-c:a", "aac"), _LAYOUTS, 6, 160, 512),
        AudioCodec("opus", ("-c:a", "libopus"), _LAYOUTS, 6, 128, 512, max_bitrate_per_channel=256),
        AudioCodec("mp3", ("-c:a", "libmp3lame"), "mono|stereo", 2, 192, 320),
        AudioCodec("flac", (*_FLAC, "s16"), "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1", 8, deep_encoder=(*_FLAC, "s32")),
        AudioCodec("wav", ("-c:a", "pcm_s16le"), deep_encoder=("-c:a", "pcm_s24le")),
    )
}


@dataclass(frozen=True, slots=True)
class AudioFile:
    name: str
    media_type: str
    muxer: Options


AUDIO_FILES = {
    "mp3": AudioFile("audio.mp3", "audio/mpeg", ("-f", "mp3")),
    "aac": AudioFile("audio.m4a", "audio/mp4", ("-f", "ipod", "-movflags", "+faststart")),
    "opus": AudioFile("audio.opus", "audio/ogg", ("-f", "opus")),
    "flac": AudioFile("audio.flac", "audio/flac", ("-f", "flac")),
    "wav": AudioFile("audio.wav", "audio/wav", ("-f", "wav", "-rf64", "auto")),  # also over 4 GB
}

_DEEP = ("pcm_s24", "pcm_s32", "pcm_f", "flac", "alac", "wavpack", "tta", "truehd", "mlp", "ape", "wmalossless")

_MP4 = ("-f", "mp4", "-movflags", "+faststart")
_ANY_VIDEO = frozenset(VIDEO)

# In the order of preference, after the usual one of the codec.
CONTAINERS: Sequence[Container] = (
    Container(
        "mp4",
        "video/mp4",
        _MP4,
        _ANY_VIDEO,
        frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
        "mov",
        "mov_text",
    ),
    Container(
        "webm",
        "video/webm",
        ("-f", "webm"),
        frozenset({"vp9", "av1"}),
        frozenset({"opus", "vorbis"}),
        "matroska",
        "webvtt",
    ),
    Container(
        "mkv", "video/x-matroska", ("-f", "matroska"), _ANY_VIDEO, frozenset(), "matroska", "copy"
    ),  # holds every codec
)


def container_for(video: VideoCodec, audio: Collection[str]) -> Container:
    """The usual container of the video codec, if it can hold these audio codecs; else the first that can hold all."""
    usual_first = sorted(CONTAINERS, key=lambda container: container.name != video.container)
    fitting = (each for each in usual_first if video.name in each.video and each.audio.issuperset(audio))
    return next(fitting, CONTAINERS[-1])


def audio_encoder(codec: AudioCodec, channels: int, bitrate: int | None = None, *, is_deep: bool = False) -> Options:
    """Options that encode sound: the encoder, and a bitrate that it accepts for this number of channels."""
    if codec.bitrate is None:
        return codec.deep_encoder if is_deep else codec.encoder
    channels = min(channels, codec.max_channels)
    rate = bitrate or codec.bitrate * max(1, channels / 2)
    return (*codec.encoder, "-b:a", f"{min(rate, codec.max_bitrate, codec.max_bitrate_per_channel * channels):.0f}k")


def is_deep(sound: AudioStream) -> bool:
    """Whether the sound may have more than 16 bits a sample. Lossy codecs count as 16 bits."""
    return sound.codec.startswith(_DEEP)
