"""Lists as CSV: all that a list's filters hold, however much, in cells that no spreadsheet takes for formulas."""

import csv
import html
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from threading import Semaphore
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ...errors import ServerBusy
from ...runtime.database_connections import let_go

_AT_ONCE = 1000
# What spreadsheets begin to calculate at.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# A reader that stops holds its export's thread for a minute, and uploads need those, too.
_places = Semaphore(8)

Value = Callable[[Any], object]


class CsvExportMixin:
    """For a ReadOnlyAdmin: `class FileAdmin(CsvExportMixin, ReadOnlyAdmin)` has the link
    `export/` and an action on a selection.

    The columns are those of the list, in their words: of a cell that is HTML, its text. `export_values` says what to
    write instead, by the column's name: a function of the row, or None to leave the column out. What the list does
    not show, such as an id, can be added there under the words that are to stand above it.

    Rows come newest first by `export_by`, whatever the list is sorted by: so each block of them is a query of its own
    that takes up where the last one ended, and no cursor stays open, nor memory grows, while a million rows flow.
    Whoever may see the list may export it. A search finds no more for it than for the list, which says how many.
    """

    export_values: ClassVar[Mapping[str, Value | None]] = {}
    export_by: ClassVar[str] = "created_at"

    def get_urls(self: Any) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export), name=name), *super().get_urls()]  # type: ignore[misc]

    def get_actions(self: Any, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]
        return found | {"export_csv": self.get_action("export_csv")}

    def export(self: Any, request: HttpRequest) -> HttpResponseBase:
        """What the list at this query string holds: not its page, all of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseBadRequest("These filters mean nothing.", content_type="text/plain")
        answer: HttpResponseBase = self.export_csv(request, rows)
        return answer

    @admin.action(description="Export to CSV")
    def export_csv(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> StreamingHttpResponse:
        columns = dict(self.export_columns(request))
        rows = newest_first(queryset, self.export_by)
        lines = Export(csv_blocks(list(columns), ([value(row) for value in columns.values()] for row in rows)))
        name = f"{self.opts.verbose_name_plural}-{timezone.now():%Y-%m-%d-%H%M}.csv".replace(" ", "-")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8; header=present", headers=headers)

    def export_columns(self: Any, request: HttpRequest) -> Iterator[tuple[str, Value]]:
        others = dict(self.export_values)
        for name in self.get_list_display(request):
            value = others.pop(name, self._shown(name))
            if value is not None:
                yield capfirst(str(label_for_field(name, self.model, self))), value
        yield from ((name, value) for name, value in others.items() if value is not None)

    def _shown(self, name: str) -> Value:
        return lambda row: lookup_field(name, row, self)[2]  # type: ignore[arg-type]


class Export:
    """The lines of one export, which has one of a few places until its answer is closed. Refused if there is none."""

    def __init__(self, lines: Iterator[str]) -> None:
        if not _places.acquire(blocking=False):
            raise ServerBusy("Others are exporting lists just now. Try again in a minute.", retry_after=60)
        self._lines, self._has_place = lines, True

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def close(self) -> None:
        if self._has_place:
            self._has_place = False
            _places.release()

    def __del__(self) -> None:
        if hasattr(self, "_has_place"):  # an answer that was never sent is never closed
            self.close()


def newest_first(queryset: QuerySet[Any], by: str) -> Iterator[Any]:
    """All rows, a block of them a query, and between two blocks no connection is held."""
    ordered = queryset.order_by(f"-{by}", "-pk")
    block = list(ordered[:_AT_ONCE])
    while block:
        let_go()
        yield from block
        moment, pk = getattr(block[-1], by), block[-1].pk
        older = Q(**{f"{by}__lt": moment}) | Q(**{by: moment}, pk__lt=pk)
        block = list(ordered.filter(older, **{f"{by}__lte": moment})[:_AT_ONCE]) if len(block) == _AT_ONCE else []


def csv_blocks(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """RFC 4180, in blocks of lines: a write for each line would be most of the work."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(map(cell, names))
    for number, row in enumerate(rows, 1):
        writer.writerow(map(cell, row))
        if number % 100 == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def cell(value: object) -> object:
    """A value as a spreadsheet may read it. Text that it would take for a formula gets an apostrophe before it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return value
        case datetime():
            return value.isoformat(timespec="seconds")
        case SafeString():
            text = " ".join(html.unescape(strip_tags(value)).split())
        case _:
            text = str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
