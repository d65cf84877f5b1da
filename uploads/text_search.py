"""Search in names, metadata, and what is said and read: which texts match, and what to show of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from .hooks import TextSource, text_sources
from .models import MediaFile, SearchText
from .text.text_query import Part, TextQuery, snippet


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a file matches."""

    file: MediaFile
    source: str
    start: float | None  # the second of the file at which it is said or shown
    snippet: Sequence[Part]
    about: UUID | None = None  # what else of the file the text is about

    @property
    def app_source(self) -> TextSource | None:
        """The source of another app that the text is from. None: it is about nothing else."""
        return next((source for source in text_sources if source.name == self.source), None)


def find(texts: QuerySet[SearchText], query: TextQuery) -> QuerySet[SearchText]:
    """Those of these texts that match, the newest first. None, if nothing is searched for."""
    found = texts.filter(words__matches=query) if query.terms else texts.none()
    return found.order_by("-id")


def hits(texts: Iterable[SearchText], query: TextQuery) -> Iterator[Hit]:
    """What to show of texts that match. One whose matches the text before shows, too, is left out."""
    for text in texts:
        found = snippet(text.text, query)
        if found.last > text.repeats:
            yield Hit(text.file, text.source, text.second_at(found.first), found.parts, text.about)
