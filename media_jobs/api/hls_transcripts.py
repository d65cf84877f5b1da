"""The transcripts of a file as subtitles below files/ID/hls/. The newest one is listed; its URLs name its job."""

import json
import re
from functools import lru_cache
from uuid import UUID

import structlog
from django.http import Http404

from uploads.api.download import as_unavailable, require_whole
from uploads.models import MediaFile
from uploads.sinks.base import SinkError

from ..hls.playlists import SUBTITLE_TYPE, ListedSubtitles
from ..hls.webvtt_segments import HEAD, TextSegments, find_segments
from ..queue.hls_renditions import Piece, piece_of_blob
from ..queue.previews import CAPTIONS, TRANSCRIBE, blob_of, captions_of
from ..queue.texts import TRANSCRIPT
from .hls_streams import Content

log = structlog.get_logger(__name__)
_BEGINNING = 4096  # bytes of a transcript that have all but its cues
_KEPT = 1024  # transcripts


def listed_transcript(file: MediaFile) -> list[ListedSubtitles]:
    """The newest one. None if nobody speaks in it."""
    if (captions := captions_of(file)) is None:
        return []
    return [ListedSubtitles(f"transcript-{captions.job}", language_of(file, captions.job), is_transcript=True)]


def transcript_lengths(file: MediaFile, job: UUID, seconds: float) -> list[float]:
    """How long its segments are, in a film that lasts `seconds`. Raises Http404."""
    return _segments(_captions(file, job)).lengths(seconds)


def transcript_segment(file: MediaFile, job: UUID, number: int) -> Content:
    """Raises Http404."""
    piece = _captions(file, job)
    segments = _segments(piece)
    if number >= len(segments):
        raise Http404
    found = (segments.offsets[number], segments.offsets[number + 1])
    return Content(f"{piece.sha256}-{number}", piece.open_range, [HEAD, found], SUBTITLE_TYPE)


def _captions(file: MediaFile, job: UUID) -> Piece:
    if (blob := blob_of(file, job, CAPTIONS, [TRANSCRIBE])) is None:
        raise Http404
    require_whole(blob)
    return piece_of_blob(blob)


def _segments(piece: Piece) -> TextSegments:
    with as_unavailable():
        return _segments_of_content(piece)


def language_of(file: MediaFile, job: UUID) -> str:
    """Of a transcript. Empty if it cannot be read: the film plays without it, too."""
    if (blob := blob_of(file, job, TRANSCRIPT, [TRANSCRIBE])) is None:
        return ""
    try:
        return _language_of_content(piece_of_blob(blob))
    except (SinkError, ValueError, LookupError, TypeError):
        log.warning("transcript_language_unknown", job=str(job), exc_info=True)
        return ""


@lru_cache(maxsize=_KEPT)
def _segments_of_content(piece: Piece) -> TextSegments:
    return find_segments(piece.read(0, piece.size))


@lru_cache(maxsize=_KEPT)
def _language_of_content(piece: Piece) -> str:
    """Only what is before the cues is read."""
    head, _, _ = piece.read(0, _BEGINNING).partition(b'"cues"')
    language = str(json.loads(head + b'"cues": []}')["language"] or "")
    return language if re.fullmatch("[a-z]{2,3}", language) else ""
