"""Export lists to CSV: all rows that match the filters, in cells that no spreadsheet runs as a formula."""

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
from ...runtime.database_connections import release_connection
from ...text.spreadsheet_cells import safe_cell

_ROWS_PER_QUERY = 1000
# An export to a stalled client blocks a thread for a minute. Leave threads for uploads.
_slots = Semaphore(8)

Value = Callable[[Any], object]


class CsvExportMixin:
    """Add the page `export/` and an export action: `class FileAdmin(CsvExportMixin, ReadOnlyAdmin)`.

    The columns are those of the list, with the text of their cells. The dict `export_values` replaces the values of a
    column by a function of the row, or by None to leave the column out. Keys that are no column of the list add one.

    Rows are sorted by `export_by`, newest first, whatever the order of the list. So each block of rows is a query
    that continues where the last one ended: no cursor stays open and memory stays constant for a million rows. The
    export needs only the permission to view the list. An export of search results has the list's limit for searches.
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
        """Export all rows of the list with this query string, not only one page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseBadRequest("These filters are invalid.", content_type="text/plain")
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
    """The lines of one export. Takes one of eight slots until the response is closed; refused if none is free."""

    def __init__(self, lines: Iterator[str]) -> None:
        if not _slots.acquire(blocking=False):
            raise ServerBusy("Too many exports are running. Try again in a minute.", retry_after=60)
        self._lines, self._has_slot = lines, True

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def close(self) -> None:
        if self._has_slot:
            self._has_slot = False
            _slots.release()

    def __del__(self) -> None:
        if hasattr(self, "_has_slot"):  # Django does not close a response that was never sent
            self.close()


def newest_first(queryset: QuerySet[Any], by: str) -> Iterator[Any]:
    """All rows, in blocks of one query each. No database connection is held between two blocks."""
    ordered = queryset.order_by(f"-{by}", "-pk")
    block = list(ordered[:_ROWS_PER_QUERY])
    while block:
        release_connection()
        yield from block
        moment, pk = getattr(block[-1], by), block[-1].pk
        older = Q(**{f"{by}__lt": moment}) | Q(**{by: moment}, pk__lt=pk)
        block = (
            list(ordered.filter(older, **{f"{by}__lte": moment})[:_ROWS_PER_QUERY])
            if len(block) == _ROWS_PER_QUERY
            else []
        )


def csv_blocks(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """CSV by RFC 4180, in blocks of 100 lines: one write per line would take most of the time."""
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
    """A value for a CSV cell. Text that looks like a formula gets an apostrophe in front."""
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
    return safe_cell(text)
