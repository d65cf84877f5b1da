"""What we can encode to, and which files can hold it. A new codec is a row in a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...ffmpeg.probing.media_facts import AudioStream

Options = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VideoCodec:
    name: str
    encoder: Callable[[int], Options]  # for a number of threads
    container: str  # that people expect it in
    crf: Mapping[str, int]  # for each word of quality
    worst: int  # crf
    smallest: int = 2  # pixels on each side


@dataclass(frozen=True, slots=True)
class AudioCodec:
    name: str
    encoder: Options
    layouts: str = ""  # of speakers, that every decoder knows; none: all that there are
    channels: int = 64  # of the largest of them
    bitrate: int | None = None  # kbit/s, unless asked otherwise; None for what loses nothing
    most: int = 0  # kbit/s
    most_a_channel: int = 512
    deep: Options = ()  # the encoder for sources of more than 16 bits, where there is another


@dataclass(frozen=True, slots=True)
class Container:
    name: str  # and how its files end
    media_type: str
    muxer: Options
    video: frozenset[str]
    audio: frozenset[str]  # by ffmpeg's names for codecs


def _x265(threads: int) -> Options:
    # hvc1 is what Apple's players look for. Without a pool of its own size x265 takes every core.
    return (
        "-c:v",
        "libx265",
        "-preset",
        "fast",
        "-tag:v",
        "hvc1",
        "-x265-params",
        f"log-level=error:pools={threads}",
    )


def _vp9(threads: int) -> Options:
    speed = ("-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-tile-columns", "2")
    return ("-c:v", "libvpx-vp9", "-b:v", "0", *speed)


def _svtav1(threads: int) -> Options:
    return ("-c:v", "libsvtav1", "-preset", "8", "-svtav1-params", f"lp={threads}")


VIDEO = {
    codec.name: codec
    for codec in (
        VideoCodec(
            "h264", lambda _: ("-c:v", "libx264", "-preset", "fast"), "mp4", {"low": 28, "medium": 23, "high": 18}, 51
        ),
        VideoCodec("hevc", _x265, "mp4", {"low": 32, "medium": 26, "high": 21}, 51, smallest=16),
        VideoCodec("vp9", _vp9, "webm", {"low": 40, "medium": 33, "high": 26}, 63),
        VideoCodec("av1", _svtav1, "webm", {"low": 45, "medium": 35, "high": 27}, 63),
    )
}

_FLAC = ("-c:a", "flac", "-sample_fmt")
_SPEAKERS = "mono|stereo|5.1"  # opus refuses the many other shapes that files have

AUDIO = {
    codec.name: codec
    for codec in (
        AudioCodec("aac", ("-c:a", "aac"), _SPEAKERS, 6, 160, 512),
        AudioCodec("opus", ("-c:a", "libopus"), _SPEAKERS, 6, 128, 512, most_a_channel=256),
        AudioCodec("mp3", ("-c:a", "libmp3lame"), "mono|stereo", 2, 192, 320),
        AudioCodec("flac", (*_FLAC, "s16"), "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1", 8, deep=(*_FLAC, "s32")),
        AudioCodec("wav", ("-c:a", "pcm_s16le"), deep=("-c:a", "pcm_s24le")),
    )
}


@dataclass(frozen=True, slots=True)
class SoundFile:
    name: str
    media_type: str
    muxer: Options


SOUND_FILES = {
    "mp3": SoundFile("audio.mp3", "audio/mpeg", ("-f", "mp3")),
    "aac": SoundFile("audio.m4a", "audio/mp4", ("-f", "ipod", "-movflags", "+faststart")),
    "opus": SoundFile("audio.opus", "audio/ogg", ("-f", "opus")),
    "flac": SoundFile("audio.flac", "audio/flac", ("-f", "flac")),
    "wav": SoundFile("audio.wav", "audio/wav", ("-f", "wav", "-rf64", "auto")),  # over 4 GB, too
}

_DEEP = ("pcm_s24", "pcm_s32", "pcm_f", "flac", "alac", "wavpack", "tta", "truehd", "mlp", "ape", "wmalossless")

_MP4 = ("-f", "mp4", "-movflags", "+faststart")
_ANY_VIDEO = frozenset(VIDEO)

# In the order of preference after the codec's own.
CONTAINERS: Sequence[Container] = (
    Container("mp4", "video/mp4", _MP4, _ANY_VIDEO, frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})),
    Container("webm", "video/webm", ("-f", "webm"), frozenset({"vp9", "av1"}), frozenset({"opus", "vorbis"})),
    Container("mkv", "video/x-matroska", ("-f", "matroska"), _ANY_VIDEO, frozenset()),  # holds everything
)


def container_for(video: VideoCodec, audio: str | None) -> Container:
    """Where people expect it, if the sound may be there; else the first that can hold both."""
    own_first = sorted(CONTAINERS, key=lambda container: container.name != video.container)
    fits = (each for each in own_first if video.name in each.video and (audio is None or audio in each.audio))
    return next(fits, CONTAINERS[-1])


def encoded(codec: AudioCodec, channels: int, bitrate: int | None = None, *, is_deep: bool = False) -> Options:
    """How to encode sound: its encoder, and a rate that the encoder takes for so many channels."""
    if codec.bitrate is None:
        return codec.deep if is_deep else codec.encoder
    channels = min(channels, codec.channels)
    rate = bitrate or codec.bitrate * max(1, channels / 2)
    return (*codec.encoder, "-b:a", f"{min(rate, codec.most, codec.most_a_channel * channels):.0f}k")


def is_deep(sound: AudioStream) -> bool:
    """Whether it may have more than 16 bits to lose. What was compressed with loss has none."""
    return sound.codec.startswith(_DEEP)


# Where there is no sound, a silent sample of it stands every 20 seconds. aresample makes all the silence that a gap
# needs at once, and three times as much memory as that takes; of hours of it, it leaves out what it cannot hold.
_BEAT = 20
_MICROSECONDS = "asettb=1/1000000"  # as ainterleave counts, whatever it says of its output
_BEATEN = (
    "asplit[sound][like];"
    f"[like]atrim=end_sample=1,volume=0,aloop=loop=-1:size=1,asetpts={_BEAT}*N/TB,{_MICROSECONDS}[beat];"
    f"[sound]{_MICROSECONDS}[timed];[timed][beat]ainterleave=duration=first,"
    f"aselect='gt(samples_n,1)+gt(t-if(isnan(prev_selected_t),0,prev_selected_t),{_BEAT})'"
)


def heard(layouts: str, channels: int | None = None) -> list[str]:
    """Filters for sound: gaps in its timestamps become silence, so that it stays with the picture."""
    speakers = {None: layouts, 1: "mono", 2: "stereo"}[channels]
    steady = [_BEATEN, "aresample=async=1:first_pts=0"]
    return [*steady, *([f"aformat=channel_layouts={speakers}"] if speakers else [])]
