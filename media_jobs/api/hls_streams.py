"""The streams below files/ID/hls/: made of ranges of the file itself, or of renditions that a job has made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import BinaryIO, Protocol

from django.http import Http404

from uploads.api.download import as_unavailable, require_whole
from uploads.http.composed_response import Part
from uploads.models import Blob, MediaFile
from uploads.storage.blobs import open_blob

from ..errors import NotStreamable
from ..hls import fragments, playlists
from ..hls.errors import Unsuitable
from ..hls.index_cache import IndexCache
from ..hls.movie import Read
from ..hls.playlists import Listed, ListedSubtitles
from ..hls.segments import Rendition
from ..queue.hls_renditions import Made, MadeRendition, find_made, is_being_made

_indexes = IndexCache()


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent, and from where."""

    etag: str
    open_range: Callable[[int, int], BinaryIO]
    parts: Sequence[Part]
    media_type: str = fragments.MEDIA_TYPE

    @property
    def size(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in self.parts)


class Stream(Protocol):
    """A rendition that can be played."""

    @property
    def listed(self) -> Listed: ...

    def init(self) -> Content: ...

    def segment(self, number: int) -> Content:
        """Raises Http404."""


def master_playlist(file: MediaFile, transcripts: Sequence[ListedSubtitles]) -> str:
    """NotStreamable with the reason if the file cannot be played.

    A picture that still grows is listed only as long as none is complete: a player cannot seek past its end.
    """
    made = find_made(file)
    found = _listed(file, made)
    pictures = [each for each in found if each.is_picture]
    complete = [each for each in pictures if each.is_complete]
    subtitles = [ListedSubtitles(each.name, each.language) for each in made.subtitles]
    sounds = [each for each in found if not each.is_picture]
    return playlists.master(complete or pictures, sounds, [*subtitles, *transcripts])


def subtitles_playlist(file: MediaFile, name: str) -> str:
    """Raises Http404."""
    made = find_made(file)
    if name not in [each.name for each in made.subtitles]:
        raise Http404
    return playlists.subtitles_media(name, [_seconds(_listed(file, made))])


def film_seconds(file: MediaFile) -> float:
    """How long its picture is, or will be when it is complete, as far as that is known."""
    listed = _listed(file, find_made(file))
    if any(each.is_complete for each in listed if each.is_picture):
        return _seconds(listed)
    return max(_seconds(listed), float((file.facts or {}).get("duration") or 0))


def _seconds(listed: Sequence[Listed]) -> float:
    return max(sum(map(float, each.durations)) for each in listed if each.is_picture)


def subtitles_content(file: MediaFile, name: str) -> Content:
    """Raises Http404."""
    for each in find_made(file).subtitles:
        if each.name == name:
            piece = each.piece
            return Content(piece.sha256, piece.open_range, [(0, piece.size)], playlists.SUBTITLE_TYPE)
    raise Http404


def _listed(file: MediaFile, made: Made) -> list[Listed]:
    found = [_MadeStream(each).listed for each in made.renditions]
    try:
        found += [stream.listed for stream in _own_streams(file.blob).values()]
    except Unsuitable as reason:
        if not any(each.is_picture for each in found):
            raise NotStreamable(_why_not(file, reason)) from reason
    return found


def _why_not(file: MediaFile, reason: Unsuitable) -> str:
    if is_being_made(file):
        return "The renditions of this file are being made. Try again in a moment."
    return f"This file cannot be played as it is: {reason}. Run the operation hls on it, and it can be."


def find_stream(file: MediaFile, name: str) -> Stream:
    """Raises Http404."""
    try:
        if own := _own_streams(file.blob).get(name):
            return own
    except Unsuitable:
        pass
    if (made := find_made(file).rendition(name)) is None:
        raise Http404
    return _MadeStream(made)


@dataclass(frozen=True, slots=True)
class _OwnStream:
    """Ranges of the file itself."""

    name: str
    blob: Blob
    rendition: Rendition

    @property
    def listed(self) -> Listed:
        return Listed.of(self.name, self.rendition)

    def init(self) -> Content:
        return self._content("init", [fragments.init_segment(self.rendition)])

    def segment(self, number: int) -> Content:
        if number >= len(self.rendition):
            raise Http404
        found = fragments.segment(self.rendition, number)
        return self._content(str(number), [found.head, *found.ranges])

    def _content(self, part: str, parts: Sequence[Part]) -> Content:
        return Content(f"{self.blob.sha256}-{self.name}-{part}", partial(open_blob, self.blob), parts)


def _own_streams(blob: Blob) -> dict[str, Stream]:
    """Raises Unsuitable if the file cannot be played as it is."""
    require_whole(blob)
    with as_unavailable():
        index = _indexes.get(blob.sha256, blob.size, lambda: _reader(blob))
    return {name: _OwnStream(name, blob, rendition) for name, rendition in index.named.items()}


def _reader(blob: Blob) -> Read:
    def read(start: int, size: int) -> bytes:
        pieces = []
        with open_blob(blob, start, start + size) as reader:
            while size and (piece := reader.read(size)):
                pieces.append(piece)
                size -= len(piece)
        return b"".join(pieces)

    return read


@dataclass(frozen=True, slots=True)
class _MadeStream:
    """Segments of a file that a job made, or of the runs that it has finished."""

    made: MadeRendition

    @property
    def listed(self) -> Listed:
        with as_unavailable():
            found = [piece.packaged for piece in self.made.pieces]
        times = [time for each in found for time in each.table.times[:-1]] + found[-1].table.times[-1:]
        sizes = [end - start for each in found for start, end in pairwise(each.table.offsets.tolist())]
        durations = [after - before for before, after in pairwise(times)]
        return Listed(
            self.made.name, found[0].coding, found[0].language, durations, sizes, self.made.is_complete,
            self.made.longest,
        )  # fmt: skip

    def init(self) -> Content:
        with as_unavailable():
            end = int(self.made.pieces[0].packaged.table.offsets[0])
        return self._range(0, 0, end)

    def segment(self, number: int) -> Content:
        for place, piece in enumerate(self.made.pieces):
            with as_unavailable():
                table = piece.packaged.table
            if number < len(table):
                return self._range(place, int(table.offsets[number]), int(table.offsets[number + 1]))
            number -= len(table)
        raise Http404

    def _range(self, place: int, start: int, end: int) -> Content:
        piece = self.made.pieces[place]
        return Content(f"{piece.sha256}-{start}", piece.open_range, [(start, end)])
