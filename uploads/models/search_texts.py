"""The table of texts by which files are found."""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.lookups import Lookup

from ..text.text_query import TextQuery
from .files import MediaFile


class WordsField(models.Field):  # type: ignore[type-arg]  # generic only in the stubs
    """The words of a text, in order: on PostgreSQL with their places, as a tsvector that we make ourselves.

    Only for writing and searching. Nothing reads it.
    """

    def db_type(self, connection: Any) -> str:
        return {"postgresql": "tsvector", "sqlite": "text"}[connection.vendor]

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s::tsvector" if connection.vendor == "postgresql" else "%s"

    def get_db_prep_value(self, value: Iterable[str], connection: Any, prepared: bool = False) -> str:
        if connection.vendor != "postgresql":
            return " ".join(value)
        places: dict[str, list[str]] = {}
        for place, word in enumerate(value, 1):
            places.setdefault(word, []).append(str(place))
        return " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())


@WordsField.register_lookup
class Matches(Lookup):
    """`words__matches=TextQuery`: the rows that contain all of its terms."""

    lookup_name = "matches"
    prepare_rhs = False
    rhs: TextQuery

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[str]]:
        table = compiler.quote_name_unless_alias(self.lhs.alias)
        found = "SELECT rowid FROM uploads_searchtext_words WHERE uploads_searchtext_words MATCH %s"
        return f'{table}."id" IN ({found})', [self.rhs.as_fts5()]

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        words, params = self.process_lhs(compiler, connection)
        return f"{words} @@ %s::tsquery", [*params, self.rhs.as_tsquery()]


class SearchText(models.Model):
    """A text by which a file is found, at most some hundred words: its name, its metadata, a part of what is said.

    uploads/text_index.py alone writes it. On SQLite triggers keep the full text index uploads_searchtext_words equal
    to it (migration 0018): a migration that has Django make this table anew has to create them again.
    """

    class Source(models.TextChoices):
        """The sources of this app. Others give texts, too: `media_jobs` gives transcripts and finds."""

        NAME = "name", "name"
        METADATA = "metadata", "metadata"

    file = models.ForeignKey(MediaFile, on_delete=models.CASCADE, related_name="search_texts", db_index=False)
    source = models.CharField(max_length=16)
    # The file that has this text as its content, such as a transcript; it is deleted with that.
    origin = models.ForeignKey(MediaFile, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    # What else the text is about than its file: a job whose metadata it is. Its id (hooks.text_sources).
    about = models.UUIDField(null=True)
    text = models.TextField()
    words = WordsField()
    # Of a text with times: where in it each passage begins, and at which second: [[0, 12.5], [42, 15.0]].
    times = models.JSONField(null=True)
    # How many characters at its beginning the row before has, too: phrases are found across the seam.
    repeats = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["file", "source"], name="search_text_of_file"),
            models.Index(fields=["origin"], name="search_text_origin", condition=Q(origin__isnull=False)),
            models.Index(fields=["about"], name="search_text_about", condition=Q(about__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.file_id}"

    def second_at(self, position: int) -> float | None:
        """When in the file the text at this position is said; None for a text without times."""
        return next((second for start, second in reversed(self.times or []) if start <= position), None)
