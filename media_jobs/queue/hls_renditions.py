"""The renditions of a file that jobs of the operation `hls` have made so far: complete ones, and those that grow.

A rendition that grows has the segments that are finished, from the first one on: whole runs, and pieces of the next.
So it can be played before the job ends.
Copies and sound have the beginning, which was made before all else (operations/shared/hls_head.py), and then all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any, BinaryIO

from django.db.models import QuerySet

from uploads.models import Blob, MediaFile
from uploads.storage.blobs import open_blob
from uploads.storage.stores import sink_named

from ..hls.packaged import Packaged, read_packaged
from ..hls.segments import LONGEST
from ..models import Artifact, Job, ScratchBlob
from ..operations.shared.hls_head import HEAD
from ..operations.shared.hls_runs import pieces_in_order
from ..operations.shared.hls_source import PICTURE, sound_name

OPERATION = "hls"
_SUBTITLES = ".vtt"
_KEPT = 4096  # tables of segments: that of a run has a kilobyte


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored file with segments of a rendition. Those with equal content are equal."""

    sha256: str
    size: int
    open_range: Callable[[int, int], BinaryIO] = field(compare=False)

    @property
    def packaged(self) -> Packaged:
        """Raises Unsuitable, or SinkError."""
        return _packaged(self)

    def read(self, start: int, size: int) -> bytes:
        """Raises SinkError."""
        end, pieces = min(start + size, self.size), []
        with self.open_range(start, end) as reader:
            while start < end and (found := reader.read(end - start)):
                pieces.append(found)
                start += len(found)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class MadeRendition:
    name: str
    pieces: Sequence[Piece]
    is_complete: bool = True
    longest: float = 0.0  # seconds; no segment that is not there yet lasts longer


@dataclass(frozen=True, slots=True)
class MadeSubtitles:
    name: str
    language: str
    piece: Piece


@dataclass(frozen=True, slots=True)
class Made:
    renditions: Sequence[MadeRendition] = ()
    subtitles: Sequence[MadeSubtitles] = ()

    def rendition(self, name: str) -> MadeRendition | None:
        return next((found for found in self.renditions if found.name == name), None)


def find_made(file: MediaFile) -> Made:
    """All of a file that can be played together: nothing as long as its sound is missing."""
    if (job := _job_of(file)) is None:
        return Made()
    return _artifacts(job) if job.status == Job.Status.SUCCEEDED else _growing(job)


def is_being_made(file: MediaFile) -> bool:
    return Job.objects.filter(file=file, operation=OPERATION, status__in=Job.UNFINISHED).exists()


def _job_of(file: MediaFile) -> Job | None:
    """The newest job that has succeeded and whose files are there; else the newest one that has begun."""
    jobs = Job.objects.filter(file=file, operation=OPERATION).defer("command", "log").order_by("-created_at")
    made = jobs.filter(status=Job.Status.SUCCEEDED, artifacts__isnull=False).distinct()
    return made.first() or jobs.exclude(status__in=[Job.Status.SUCCEEDED, Job.Status.CANCELLED]).first()


def _artifacts(job: Job) -> Made:
    found: QuerySet[Artifact] = job.artifacts.select_related("file__blob").order_by("pk")
    return _sorted_out({artifact.name: piece_of_blob(artifact.file.blob) for artifact in found})


def _sorted_out(pieces: Mapping[str, Piece]) -> Made:
    """Renditions and subtitles by their names."""
    renditions, subtitles = [], []
    for name, piece in pieces.items():
        stem, _, rest = name.partition(".")
        if name.endswith(_SUBTITLES):
            subtitles.append(MadeSubtitles(stem, rest.removesuffix("vtt").removesuffix("."), piece))
        else:
            # A playlist must not change its longest duration when it is complete.
            longest = float(LONGEST) if name == PICTURE or stem.startswith("audio") else 0.0
            renditions.append(MadeRendition(stem, [piece], longest=longest))
    return Made(renditions, subtitles)


def piece_of_blob(blob: Blob) -> Piece:
    return Piece(blob.sha256, blob.size, partial(open_blob, blob))


def _growing(job: Job) -> Made:
    children = Job.with_children.filter(parent=job.leader_id or job.pk).order_by("number")
    parts = list(children.only("number", "part", "status").prefetch_related("scratch"))
    of_runs: dict[str, list[tuple[dict[str, Any], Job]]] = {}
    whole, heads, missing = dict[str, Piece](), dict[str, Piece](), set[str]()
    for child in parts:
        part = child.part or {}
        if run := part.get("run"):
            of_runs.setdefault(run["name"], []).append((run, child))
        elif child.status != Job.Status.SUCCEEDED:
            missing |= {sound_name(number) for number in part["sounds"]} if "sounds" in part else {PICTURE}
        else:
            made = heads if part.get("make") == HEAD else whole
            made |= {blob.name: _piece_of_scratch(blob) for blob in child.scratch.all()}
    if missing - heads.keys():
        return Made()
    found = _sorted_out(whole)
    begun = [_head(name, piece) for name, piece in heads.items() if name not in whole]
    growing = [grown for runs in of_runs.values() if (grown := _prefix(runs)).pieces]
    return Made([*found.renditions, *begun, *growing], found.subtitles)


def _head(name: str, piece: Piece) -> MadeRendition:
    return MadeRendition(name.partition(".")[0], [piece], is_complete=False, longest=float(LONGEST))


def _prefix(runs: Sequence[tuple[dict[str, Any], Job]]) -> MadeRendition:
    """The runs that are complete, and of the next one what is finished."""
    ordered = sorted(runs, key=lambda each: each[0]["number"])
    complete = list(takewhile(_is_complete, (child for _, child in ordered)))
    begun = [child for _, child in ordered[: len(complete) + 1]]
    pieces = [piece for child in begun for piece in _pieces_of_run(child)]
    first = ordered[0][0]
    return MadeRendition(first["name"], pieces, len(complete) == first["of"], first["longest"])


def _is_complete(child: Job) -> bool:
    return child.status == Job.Status.SUCCEEDED and bool(child.scratch.all())


def _pieces_of_run(child: Job) -> list[Piece]:
    made = {blob.name: blob for blob in child.scratch.all()}
    return [_piece_of_scratch(made[name]) for name in pieces_in_order(made)]


def _piece_of_scratch(blob: ScratchBlob) -> Piece:
    return Piece(blob.sha256, blob.size, lambda start, end: sink_named(blob.sink).open(blob.key, start, end))


@lru_cache(maxsize=_KEPT)
def _packaged(piece: Piece) -> Packaged:
    return read_packaged(piece.read, piece.size)
