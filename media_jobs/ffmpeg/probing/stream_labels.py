"""What files say about their streams in words: language, title, dispositions; and about themselves: tags, chapters.

It runs in the child process. media_facts cleans the texts; here they are only bounded, so that the answer is short.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.stream import Disposition

_LONGEST = 800  # bytes of a text, of which media_facts keeps 200 characters
_MOST_CHAPTERS = 100
_MOST_TAGS = 30
_BOOKKEEPING = {"major_brand", "minor_version", "compatible_brands", "title", "timecode", "duration", "language"}
_COVER = Disposition.attached_pic
# Their chapters have the time stamps of the streams. Those of sound files count from the first sample.
_ON_THE_TIME_LINE = ("matroska", "mov")


def label_facts(stream: Any) -> dict[str, Any]:
    """What all kinds of streams have."""
    begin = (stream.container.start_time or 0) / 1_000_000
    start = stream.start_time
    return {
        "language": _language(stream),
        "title": _title(stream),
        "dispositions": [each.name for each in Disposition if stream.disposition & each and each != _COVER],
        "begin": None if start is None or not stream.time_base else float(start * stream.time_base) - begin,
        "bit_rate": stream.codec_context.bit_rate or None,
        "profile": stream.profile or "",
    }


def _language(stream: Any) -> str:
    language = _tag(stream.metadata, "language")
    return "" if language == "und" else language


def _title(stream: Any) -> str:
    return _tag(stream.metadata, "title") or _tag(stream.metadata, "name")  # of a track of an MP4


def _tag(metadata: Mapping[str, str], wanted: str) -> str:
    """A tag by its name in any case: Matroska has capitals."""
    return next((value[:_LONGEST] for name, value in metadata.items() if name.lower() == wanted), "")


def aspect_ratio(ratio: Fraction | None) -> str:
    return f"{ratio.numerator}:{ratio.denominator}" if ratio else ""


def file_labels(container: InputContainer) -> dict[str, Any]:
    chapters = container.chapters()
    return {
        "title": _tag(_metadata(container), "title"),
        "timecode": next(filter(None, _timecodes(container)), ""),
        "tags": _tags(container),
        "tags_size": sum(len(name) + len(value.encode()) for name, value in _metadata(container).items()),
        "chapters": [_chapter(each, container) for each in chapters[:_MOST_CHAPTERS]],
        "chapter_count": len(chapters),
    }


def _timecodes(container: InputContainer) -> Iterator[str]:
    yield _tag(container.metadata, "timecode")
    for stream in container.streams:
        yield _tag(stream.metadata, "timecode")


def _metadata(container: InputContainer) -> dict[str, str]:
    """Tags of the file. Ogg has them at its streams: those of the first count."""
    is_ogg = container.format.name == "ogg" and len(container.streams)
    return dict(container.streams[0].metadata if is_ogg else container.metadata)


def _tags(container: InputContainer) -> dict[str, str]:
    found = _metadata(container)
    shown = ((name.lower()[:_LONGEST], value[:_LONGEST]) for name, value in found.items())
    return dict([(name, value) for name, value in shown if name not in _BOOKKEEPING][:_MOST_TAGS])


def _chapter(chapter: Mapping[str, Any], container: InputContainer) -> dict[str, Any]:
    unit, begin = chapter["time_base"], 0.0
    if container.format.name.startswith(_ON_THE_TIME_LINE):
        begin = (container.start_time or 0) / 1_000_000
    return {
        "start": max(0.0, float(chapter["start"] * unit) - begin),
        "end": max(0.0, float(chapter["end"] * unit) - begin),
        "title": _tag(chapter["metadata"], "title"),
    }
