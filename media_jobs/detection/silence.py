"""The detector `silence`: where nothing is heard in any channel, or there is no sound yet or no more."""

from collections.abc import Sequence

from .marked_spans import SpanDetector

_QUIET = -50  # dBFS: below the noise of a room, and above that of a converter
_TAIL = 0.1  # seconds


class Silence(SpanDetector):
    name = "silence"
    title = "Silence"
    things = ("silence", "silences")
    media = "audio"
    begin_key, end_key = keys = ("lavfi.silence_start", "lavfi.silence_end")
    shortest = 0.5  # seconds: pauses between words are shorter
    lead = shortest + 0.5  # the filter marks a silence once it has lasted that long

    def filters(self) -> Sequence[str]:
        """They add silence at the end, so that the end of the sound is marked if the media do not end with it."""
        return [
            f"apad=pad_dur={self.shortest + _TAIL}",
            f"silencedetect=n={_QUIET}dB:d={self.shortest}",
        ]
