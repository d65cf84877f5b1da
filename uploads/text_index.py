"""The index of the search: which texts find a file. Each change of a file is in it when its transaction ends.

Names and metadata are written here by those who change them; other texts, such as transcripts, by `index_text`. Files
from before there was an index are added by a chore, as are those that `manage.py rebuild_search` has marked.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from .hooks import TextAbout, text_sources
from .models import MediaFile, SearchText
from .runtime.database_connections import write
from .text.client_metadata import Metadata, values_of
from .text.words import plain, words_of

log = structlog.get_logger(__name__)
MOST_WORDS = 120  # of a row: about 40 seconds of speech
_REPEATED = 12  # words: phrases up to this length are found across two rows
_BATCH = 200
_BETWEEN_VALUES = " · "
_OWN = (SearchText.Source.NAME, SearchText.Source.METADATA)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text with the second at which it is said or shown; None for one without a time."""

    start: float | None
    text: str


def index_text(file: MediaFile, source: str, passages: Iterable[Passage], of: MediaFile | None = None) -> None:
    """Have a file found by this text, in place of what the same source gave before. No passages: by nothing of it.

    `of`: the text is the content of another file, such as a transcript, and goes with that, too.

    In the transaction that makes the text, such as that which ends a job with a transcript. `source` is one word,
    which answers name: “transcript”. The file must be kept from deletion, as that of a job is.
    """
    if source in _OWN:
        raise ValueError(f"{source} is written with the file.")
    with write():
        SearchText.objects.filter(file=file, source=source).delete()
        rows = list(_rows(file, source, passages))
        for row in rows:
            row.origin = of
        SearchText.objects.bulk_create(rows, batch_size=_BATCH)


def index_file(file: MediaFile, *, is_new: bool = False) -> None:
    """Have a file found by its name and metadata. In the transaction that creates or changes it."""
    _index([file], are_new=is_new)


def add_texts(source: str, texts: Iterable[TextAbout]) -> None:
    """Have files found by new texts about something of theirs. In the transaction that makes what they are about."""
    SearchText.objects.bulk_create(_rows_about(source, texts), batch_size=_BATCH)


def remove_texts(about: UUID) -> None:
    """In the transaction that deletes what they are about."""
    SearchText.objects.filter(about=about).delete()


def _rows_about(source: str, texts: Iterable[TextAbout]) -> Iterator[SearchText]:
    for each in texts:
        for row in _rows(each.file, source, [Passage(None, each.text)]):
            row.about = each.about
            yield row


def fill(seconds: float = 1.0, seen: Callable[[int], object] = lambda _: None) -> int:
    """The chore: index files that are not yet, the oldest first, for about this long. Returns how many."""
    done, until = 0, time.monotonic() + seconds
    waiting = MediaFile.objects.filter(indexed_at=None).order_by("created_at", "pk")
    while time.monotonic() < until and waiting.exists():  # SQLite has one writer at a time: nearly always none waits
        with write():
            files = list(waiting.select_for_update(skip_locked=_can_skip())[:_BATCH])
            _index(files)
            _index_sources(files)
            MediaFile.objects.filter(pk__in=[file.pk for file in files]).update(indexed_at=Now())
        if not files:
            break  # another process has them
        done += len(files)
        seen(len(files))
    return done


def rebuild(seen: Callable[[int], object] = lambda _: None) -> None:
    """Make all of the index anew, after damage or with other rules for words. Searches go on meanwhile."""
    if connection.vendor == "sqlite":
        _ask_fts5("rebuild")
    MediaFile.objects.update(indexed_at=None)
    while fill(seen=seen):
        pass  # for as long as there are any
    for rows in _batches_of_others():
        with write():
            for row in rows:
                SearchText.objects.filter(pk=row.pk).update(words=_words(row.text))


def mend() -> int:
    """The chore: on SQLite, make the full text index anew from its table if it is damaged. Returns whether it was.

    Searches fail then, and changes and deletions of files may.
    """
    if connection.vendor != "sqlite":
        return 0
    try:
        _ask_fts5("integrity-check")
    except DatabaseError:
        log.exception("search_index_damaged")
        _ask_fts5("rebuild")
        return 1
    return 0


def _ask_fts5(command: str) -> None:
    with write(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO uploads_searchtext_words (uploads_searchtext_words) VALUES (%s)", [command])


def _batches_of_others() -> Iterator[Sequence[SearchText]]:
    others, last = SearchText.objects.exclude(source__in=_OWN).defer("words").order_by("pk"), 0
    while rows := list(others.filter(pk__gt=last)[:_BATCH]):
        yield rows
        last = rows[-1].pk


def _can_skip() -> bool:
    return bool(connection.features.has_select_for_update_skip_locked)


def _index(files: Collection[MediaFile], *, are_new: bool = False) -> None:
    if not are_new:
        SearchText.objects.filter(file__in=files, source__in=_OWN).delete()
    SearchText.objects.bulk_create(row for file in files for row in rows_of(file))


def _index_sources(files: Collection[MediaFile]) -> None:
    for source in text_sources:
        SearchText.objects.filter(file__in=files, source=source.name).delete()
        add_texts(source.name, source.texts_of(files))


def rows_of(file: MediaFile) -> Iterator[SearchText]:
    """The rows of its name and metadata."""
    yield from _rows(file, SearchText.Source.NAME, [Passage(None, file.name)])
    if file.metadata:
        yield from _rows(file, SearchText.Source.METADATA, [Passage(None, text_of_metadata(file.metadata))])


def text_of_metadata(metadata: Metadata) -> str:
    return _BETWEEN_VALUES.join(values_of(metadata))


def _rows(file: MediaFile, source: str, passages: Iterable[Passage]) -> Iterator[SearchText]:
    """The passages in rows of at most MOST_WORDS words. Each but the first begins with the end of the one before."""
    row: list[tuple[Passage, int]] = []  # with the number of words
    repeated = 0  # how many passages at the beginning of the row are repeated
    for passage, count in _short(passages):
        if row and sum(each for _, each in row) + count > MOST_WORDS:
            yield _row(file, source, [each for each, _ in row], repeated)
            row = _end_of(row)
            repeated = len(row)
        row.append((passage, count))
    if row:
        yield _row(file, source, [each for each, _ in row], repeated)


def _end_of(row: Sequence[tuple[Passage, int]]) -> list[tuple[Passage, int]]:
    kept: list[tuple[Passage, int]] = []
    for passage, count in reversed(row):
        if sum(each for _, each in kept) >= _REPEATED or count > MOST_WORDS // 2:
            break
        kept.insert(0, (passage, count))
    return kept


def _short(passages: Iterable[Passage]) -> Iterator[tuple[Passage, int]]:
    """The passages that have words, with their number. Those with too many are cut."""
    for passage in passages:
        text = plain(passage.text)
        words = list(words_of(text))
        for first in range(0, len(words), _REPEATED) if len(words) > MOST_WORDS else [0] if words else []:
            last = first + _REPEATED if len(words) > MOST_WORDS else len(words)
            begin = words[first].start if first else 0
            end = words[last].start if last < len(words) else len(text)
            piece = text[begin:end] if last < len(words) else text[begin:end].rstrip() + " "
            yield Passage(passage.start, piece), min(last, len(words)) - first


def _row(file: MediaFile, source: str, passages: Sequence[Passage], repeated: int) -> SearchText:
    text, times, repeats = "", [], 0
    for number, passage in enumerate(passages):
        if number == repeated:
            repeats = len(text)
        if passage.start is not None:
            times.append([len(text), round(passage.start, 3)])
        text += passage.text
    return SearchText(
        file=file, source=source, text=text.rstrip(), words=_words(text), times=times or None, repeats=repeats
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return [word.text for word in words_of(text)]
