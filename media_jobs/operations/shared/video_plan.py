"""What the video that an operation makes will be: its tracks, container, length and frames, known before any work."""

from collections.abc import Sequence

from ...ffmpeg.probing.media_facts import AudioStream, Facts, SubtitleStream, VideoStream
from ...ffmpeg.probing.verification import Expected
from .codecs import container_for
from .cover_art import CoverFile
from .metadata import KeptMetadata
from .picture_track import PictureTrack
from .sound_track import sound_tracks
from .subtitle_tracks import SubtitleTrack
from .time_range import duration_of, is_duration_estimated
from .timecode import timecode_of_part
from .video_parameters import TranscodeParams

# The share of the expected frames that the output must have. A recorder's count of frames is not always right; the
# frame rate in a file may be that of fields, or of the clock of its timestamps.
COUNTED_SHARE, ESTIMATED_SHARE = 0.9, 0.25


class VideoPlan:
    """Raises UnfitMedia if the parameters do not fit the file."""

    def __init__(self, params: TranscodeParams, facts: Facts) -> None:
        self.params = params
        self.picture = PictureTrack(params, facts)
        self.sounds = sound_tracks(params, facts)
        self.container = container_for(self.picture.codec, [sound.codec for sound in self.sounds])
        self.metadata = KeptMetadata(facts, params.metadata == "keep", params.time_range, self.container.name)
        self._is_duration_estimated = is_duration_estimated(facts)
        whole = duration_of(facts, *self._streams)
        params.time_range.check(facts.duration if whole is None else whole)
        self.length = params.time_range.duration(whole)
        self.frames = self._expected_frames()

    @property
    def _streams(self) -> list[VideoStream | AudioStream]:
        return [self.picture.stream, *(sound.stream for sound in self.sounds)]

    def options(
        self, threads: int, crf: float | None, subtitles: Sequence[SubtitleTrack], cover: CoverFile | None
    ) -> tuple[str, ...]:
        """Of the target of one command. Its sources are the file, and then the subtitles."""
        picture = self.picture.options(threads, crf=crf)
        texts = self.subtitle_options(subtitles, source=1)
        return (*picture, *self.sound_options(), *texts, *self.labels(subtitles, cover), *self.container.muxer)

    def labels(self, subtitles: Sequence[SubtitleTrack], cover: CoverFile | None, source: int = 0) -> tuple[str, ...]:
        """What is kept of the metadata, which is in this source of the command. It follows all tracks."""
        tracks: dict[str, VideoStream | AudioStream | SubtitleStream] = {"v:0": self.picture.stream}
        tracks |= {f"a:{number}": sound.stream for number, sound in enumerate(self.sounds)}
        tracks |= {f"s:{number}": each.stream for number, each in enumerate(subtitles)}
        attached = cover.attachment if cover else ()
        return (*self.metadata.options(tracks, source, self._timecode), *attached)

    @property
    def _timecode(self) -> str:
        """Of the first frame, where the container has a track for time codes."""
        stream = self.picture.stream
        if not stream.fps or stream.is_variable or self.container.name != "mp4":
            return ""
        start = self.params.time_range.start - (stream.begin or 0.0)
        rate = self.picture.rate or stream.fps
        return timecode_of_part(self.metadata.facts.timecode, stream.fps, start, rate)

    def sound_options(self, source: int = 0) -> tuple[str, ...]:
        return tuple(word for number, sound in enumerate(self.sounds) for word in sound.options(number, source))

    def subtitle_options(self, subtitles: Sequence[SubtitleTrack], source: int) -> tuple[str, ...]:
        """`source` is the number of the first of their files in the command."""
        encoder = self.container.subtitles
        each = (track.options(number, source + number, encoder) for number, track in enumerate(subtitles))
        return tuple(word for options in each for word in options)

    @property
    def _has_frame_count(self) -> bool:
        """Whether the file says how many frames it has, and all of them are wanted."""
        return not self.params.fps and self.params.time_range.is_whole and bool(self.picture.stream.frames)

    def _expected_frames(self) -> int | None:
        """How many frames the output will have; None if unknown. Never more than frame rate and duration allow."""
        if self._is_duration_estimated:
            return None
        picture = self.picture.stream
        counted = picture.frames if self._has_frame_count else None
        if counted is None and picture.is_variable and not self.params.fps:
            return None  # an average rate does not tell how many frames a part has
        end = picture.end if picture.end is not None or self.sounds else self.length
        length = None if end is None else self.params.time_range.duration(end)
        rate = self.picture.rate
        allowed = round(rate * length) if rate and length is not None else None
        return min((count for count in (counted, allowed) if count is not None), default=None)

    def expected(self, cover: CoverFile | None = None) -> Expected:
        share = COUNTED_SHARE if self._has_frame_count or self.params.fps else ESTIMATED_SHARE
        return Expected(
            duration=self.length,
            tolerance=0.5 + (2 / self.picture.rate if self.picture.rate else 0),
            video=2 if self.metadata.cover or cover else 1,
            audio=len(self.sounds),
            width=self.picture.size[0],
            height=self.picture.size[1],
            frames=max(1, int((self.frames or 0) * share)),
        )
