"""The sound of a video that an operation makes: which stream it is, and how it is encoded."""

from dataclasses import dataclass

from ...ffmpeg.probing.media_facts import AudioStream, Facts
from .audio_filters import sound_filters
from .channels import channel_count, check_channels
from .codecs import AUDIO, VIDEO, audio_encoder
from .video_parameters import TranscodeParams


@dataclass(frozen=True, slots=True)
class SoundTrack:
    stream: AudioStream
    codec: str  # ffmpeg's name
    is_copied: bool
    bitrate: int | None  # kbit/s; None for the codec's usual one
    channels: str | None = None

    def options(self, source: int = 0) -> tuple[str, ...]:
        """How the sound is encoded, which is in this source of the command."""
        mapping = ("-map", f"{source}:{self.stream.index}")
        if self.is_copied:
            return (*mapping, "-c:a", "copy")
        codec = AUDIO[self.codec]
        encoder = audio_encoder(codec, channel_count(self.channels, self.stream), self.bitrate)
        return (*mapping, "-af", ",".join(sound_filters(codec.layouts, self.channels)), *encoder)


def sound_track(params: TranscodeParams, facts: Facts) -> SoundTrack | None:
    """The first sound of the file as these parameters want it; None if there is none, or none is wanted."""
    if not facts.audio or params.audio == "none":
        return None
    stream = facts.audio[0]
    if params.audio == "copy":
        return SoundTrack(stream, stream.codec, True, None)
    check_channels(params.channels, stream)
    codec = VIDEO[params.codec].sound_of(params.audio)
    return SoundTrack(stream, codec, False, params.audio_bitrate, params.channels)
