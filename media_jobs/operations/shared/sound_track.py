"""The sounds of a video that an operation makes: which streams they are, and how they are encoded."""

from dataclasses import dataclass

from ...errors import UnfitMedia
from ...ffmpeg.probing.media_facts import AudioStream, Facts
from .audio_filters import sound_filters
from .channels import channel_count, check_channels
from .codecs import AUDIO, VIDEO, audio_encoder
from .video_parameters import TranscodeParams

MAX_SOUNDS = 16  # a file may have more; each has an encoder of its own


@dataclass(frozen=True, slots=True)
class SoundTrack:
    stream: AudioStream
    codec: str  # ffmpeg's name
    is_copied: bool
    bitrate: int | None  # kbit/s; None for the codec's usual one
    channels: str | None = None

    def options(self, number: int, source: int = 0) -> tuple[str, ...]:
        """How it is encoded. `number`: among the sounds of the output; `source`: of its file in the command."""
        mapping = ("-map", f"{source}:{self.stream.index}")
        if self.is_copied:
            return (*mapping, f"-c:a:{number}", "copy")
        codec = AUDIO[self.codec]
        encoder = audio_encoder(codec, channel_count(self.channels, self.stream), self.bitrate)
        own = (f"{word}:{number}" if word in {"-c:a", "-b:a"} else word for word in encoder)
        return (*mapping, f"-filter:a:{number}", ",".join(sound_filters(codec.layouts, self.channels)), *own)


def sound_tracks(params: TranscodeParams, facts: Facts) -> list[SoundTrack]:
    """The first sound of the file, or all, as these parameters want them. Raises UnfitMedia if that cannot be."""
    if params.audio == "none":
        return []
    streams = facts.audio if params.tracks == "all" else facts.audio[:1]
    if len(streams) > MAX_SOUNDS:
        raise UnfitMedia(
            f"This file has {len(streams)} sounds, and a video of all tracks may have {MAX_SOUNDS} at most. "
            "Leave tracks out: then the first one is used."
        )
    return [_sound_track(params, stream) for stream in streams]


def _sound_track(params: TranscodeParams, stream: AudioStream) -> SoundTrack:
    if params.audio == "copy":
        return SoundTrack(stream, stream.codec, True, None)
    check_channels(params.channels, stream)
    codec = VIDEO[params.codec].sound_of(params.audio)
    return SoundTrack(stream, codec, False, params.audio_bitrate, params.channels)
