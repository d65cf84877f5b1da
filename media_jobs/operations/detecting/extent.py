"""How much of a file the chosen detectors see and hear: its streams, their length, and how many frames that is."""

from dataclasses import dataclass

from ...errors import UnfitMedia
from ...ffmpeg.probing.media_facts import AudioStream, Facts, VideoStream
from ..shared.time_range import likely_duration
from .parameters import DetectParams
from .span import Span


@dataclass(frozen=True, slots=True)
class Extent:
    picture: VideoStream | None  # None: no detector needs it
    sound: AudioStream | None
    duration: float | None
    rate: float | None  # frames a second of the picture

    @classmethod
    def of(cls, params: DetectParams, facts: Facts) -> "Extent":
        """UnfitMedia names a detector that lacks its stream."""
        listening = [each for each in params.filters if each.media == "audio"]
        seeing = [each for each in params.chosen if each not in listening]
        if seeing and facts.picture is None:
            raise UnfitMedia(f"“{seeing[0].name}” needs a picture, and this file has none.")
        if listening and not facts.audio:
            raise UnfitMedia(f"“{listening[0].name}” needs sound, and this file has none.")
        picture, sound = facts.picture if seeing else None, facts.audio[0] if listening else None
        duration = likely_duration(facts, *_present(picture, sound))
        return cls(picture, sound, duration, _rate(picture, duration) if picture else None)

    @property
    def streams(self) -> "list[VideoStream | AudioStream]":
        return _present(self.picture, self.sound)

    def seconds(self, span: Span) -> float | None:
        return span.seconds(self.duration)

    def frames(self, span: Span) -> int | None:
        """Of the source."""
        seconds = self.seconds(span)
        if self.picture is None or not seconds:
            return None
        if span.is_whole and self.picture.frames:
            return self.picture.frames
        return max(1, round(self.rate * seconds)) if self.rate else None

    def sampled_frames(self, params: DetectParams, span: Span) -> int:
        """About how many frames are looked at; 1 if that is not known."""
        rate, seconds = min(params.max_fps, (self.rate or params.max_fps) / params.frame_skip), self.seconds(span)
        return max(1, round(rate * seconds)) if seconds else 1


def _present(picture: VideoStream | None, sound: AudioStream | None) -> list[VideoStream | AudioStream]:
    return [stream for stream in (picture, sound) if stream is not None]


def _rate(picture: VideoStream, duration: float | None) -> float | None:
    return picture.frames / duration if picture.frames and duration else picture.fps
