"""What an output keeps of its source's metadata: tags, chapters, languages and titles of tracks, and cover art.

ffmpeg copies tags and chapters, and moves and cuts chapters with the part of the recording. Files may have any number
of them, of any size: of too many tags those in the facts are kept, and too many chapters are left out. Languages and
titles of tracks are those of the facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ...ffmpeg.probing.media_facts import AudioStream, Facts, SubtitleStream, VideoStream
from .time_range import TimeRange

Metadata = Annotated[
    Literal["keep", "drop"],
    Field(
        title="Metadata",
        description="keep: title, tags, chapters, languages and cover art. "
        "drop: none of them, and neither place nor date.",
    ),
]

MAX_TAGS_SIZE = 256 * 1024  # bytes: FLAC has room for 16 MB, and others write tags of any size
MAX_CHAPTERS = 1000
# They describe the container or the encoder of the source. A time code is that of the source's first frame.
_OF_THE_SOURCE = ("major_brand", "minor_version", "compatible_brands", "encoder", "timecode")
_DROPPED = (
    "-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1",
    "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact",  # without versions of encoders
)  # fmt: skip
_COVERS = frozenset({"mjpeg", "png"})  # that every container and player knows
_COPY_COVERS, _TAKE_COVER_FILES = frozenset({"mp4", "mp3", "aac", "flac"}), frozenset({"mkv", "opus"})


@dataclass(frozen=True, slots=True)
class KeptMetadata:
    facts: Facts
    keep: bool
    time_range: TimeRange
    container: str  # the name of a Container, or the format of an audio file

    @property
    def cover(self) -> VideoStream | None:
        """Cover art that is copied into the output."""
        return self._cover if self.container in _COPY_COVERS else None

    @property
    def cover_apart(self) -> VideoStream | None:
        """Cover art that the output can have, from a file: see cover_art.py."""
        return self._cover if self.container in _TAKE_COVER_FILES else None

    @property
    def _cover(self) -> VideoStream | None:
        cover = self.facts.cover
        return cover if self.keep and cover is not None and cover.codec in _COVERS and cover.is_decoded else None

    @property
    def of_part(self) -> tuple[str, ...]:
        """Options of a target that is only a part of the output: the whole gets the metadata."""
        return ("-map_chapters", "-1") if self.keep else _DROPPED

    def options(
        self, tracks: Mapping[str, VideoStream | AudioStream | SubtitleStream], source: int = 0, timecode: str = ""
    ) -> tuple[str, ...]:
        """Options of a target. `tracks`: the streams of the source that become "v:0", "a:0" and so on.

        `source` is the number of the file in the command. `timecode` is that of the first frame of the target. Cover
        art follows the other pictures.
        """
        if not self.keep:
            return _DROPPED
        labels = [word for track, stream in tracks.items() for word in _labels(track, stream)]
        pictures = sum(track.startswith("v:") for track in tracks)
        coded = ("-metadata", f"timecode={timecode}") if timecode else ()
        return (*self._tags(source), *coded, *labels, *self._chapters(source), *self._copied_cover(source, pictures))

    def _tags(self, source: int) -> tuple[str, ...]:
        if self.facts.tags_size > MAX_TAGS_SIZE:
            kept = {"title": self.facts.title} | self.facts.tags
            named = [word for name, value in kept.items() for word in ("-metadata", f"{name}={value}")]
            return ("-map_metadata", "-1", "-map_metadata:s", "-1", *named, *_without(*_OF_THE_SOURCE))
        # Ogg has the tags of the file at its streams.
        place = (
            f"{source}:s:{self.facts.audio[0].index}" if self.facts.format == "ogg" and self.facts.audio else source
        )
        return ("-map_metadata", str(place), "-map_metadata:s", "-1", *_without(*_OF_THE_SOURCE))

    def _chapters(self, source: int) -> tuple[str, ...]:
        if not 0 < self.facts.chapter_count <= MAX_CHAPTERS:
            return ("-map_chapters", "-1")
        # ffmpeg cuts the last chapter only if the length is an option of the output.
        start, end = self.time_range.start, self.time_range.end
        length = () if end is None else ("-t", f"{end - start:.6f}")
        return ("-map_chapters", str(source), *length)

    def _copied_cover(self, source: int, number: int) -> tuple[str, ...]:
        if self.cover is None:
            return ()
        mapping = ("-map", f"{source}:{self.cover.index}")
        return (*mapping, f"-c:v:{number}", "copy", f"-disposition:v:{number}", "attached_pic")


def _without(*names: str) -> list[str]:
    return [word for name in names for word in ("-metadata", f"{name}=")]


def _labels(track: str, stream: VideoStream | AudioStream | SubtitleStream) -> list[str]:
    labels = {"language": stream.language, "title": stream.title}
    return [word for name, value in labels.items() if value for word in (f"-metadata:s:{track}", f"{name}={value}")]
