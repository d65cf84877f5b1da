"""The parameter `channels`, which operations that encode sound share: what the channels are mixed to."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ...errors import UnfitMedia
from ...ffmpeg.probing.media_facts import AudioStream

_COUNTS = {"mono": 1, "left": 1, "right": 1, "stereo": 2, "5.1": 6}
_NUMBERS = {"1": "mono", "2": "stereo", "6": "5.1"}  # what `channels` of the operation audio was before


def _by_number(value: Any) -> Any:
    return _NUMBERS.get(str(value), value) if not isinstance(value, bool) else value


Channels = Annotated[
    Literal["mono", "stereo", "5.1", "left", "right"] | None,
    BeforeValidator(_by_number),
    Field(
        title="Channels",
        description="mono and stereo mix all channels, without the subwoofer; left and right take one of them. "
        "If left out: as in the original, as far as the format can.",
    ),
]


def channel_count(channels: str | None, sound: AudioStream) -> int:
    """How many channels sound has once it is mixed."""
    return _COUNTS[channels] if channels else sound.channels


def check_channels(channels: str | None, sound: AudioStream) -> None:
    """Raise UnfitMedia if the sound has no right channel to take."""
    if channels == "right" and sound.channels < 2:
        raise UnfitMedia("The sound of this file has one channel only. Leave channels out.")
