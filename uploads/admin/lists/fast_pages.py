"""Keep lists fast with millions of rows: never count all rows, and fetch a page by an index."""

from copy import copy
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ORDER_VAR
from django.db import connection
from django.db.models import Func, OrderBy, QuerySet
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.db.models.sql.where import WhereNode
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from ...list_search import MOST, Found
from .query_strings import CheckedRequestsMixin
from .unfold_private import row_checkbox

_PREFIXED = ("created_at",)  # orders for which indexes begin with the filtered column
REACHABLE = 1_000_000  # rows that paging reaches; beyond them use a filter or the reverse order


class UncountedPaginator(InfinitePaginator):  # type: ignore[misc]
    count = REACHABLE


class FastChangeList(ChangeList):  # type: ignore[misc]
    """Fetch the ids of a page from an index alone, then only the rows with these ids: fast on late pages, too."""

    result_list: Any  # django-stubs says QuerySet

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        ids = self.result_list.values_list("pk", flat=True)
        first = str(next(iter(ids.query.order_by), "")).lstrip("-")
        if connection.vendor == "sqlite" and first not in _PREFIXED:
            _hide_from_planner(ids.query.where)
        pks = list(ids)
        rows = self.apply_select_related(self.root_queryset).in_bulk(pks)
        self.full_result_count = self.result_count  # unknown: unfold's header then shows no count
        self.result_list = [rows[pk] for pk in pks if pk in rows]

    def get_ordering_field(self, field_name: str) -> Any:
        return self.model_admin.sort_keys.get(field_name) or super().get_ordering_field(field_name)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Sort by the first requested column only: an index has one order."""
        if asked := self.params.get(ORDER_VAR):
            self.params[ORDER_VAR] = asked.partition(".")[0]
        ordering: list[Any] = super().get_ordering(request, queryset)
        return ordering

    def _get_deterministic_ordering(self, ordering: list[Any]) -> list[Any]:
        """Sort the id in the same direction as the column before it, as the index does."""
        last = ordering[-1] if ordering else "-pk"
        if isinstance(last, str):
            descending = last.startswith("-")
            ordering = [*ordering] if last.lstrip("-") not in ("pk", "id") else ordering[:-1]
        else:
            descending = isinstance(last, OrderBy) and last.descending
        return [*ordering, "-pk" if descending else "pk"]


class _Unindexed(Func):
    """Keeps SQLite from choosing an index of this column, after which it would have to sort the rows."""

    template = "+%(expressions)s"
    arity = 1


def _hide_from_planner(where: WhereNode) -> None:
    for number, part in enumerate(where.children):
        if isinstance(part, WhereNode):
            _hide_from_planner(part)
        elif isinstance(part, Exact) and isinstance(part.lhs, Col):
            where.children[number] = hidden = copy(part)
            hidden.lhs = _Unindexed(part.lhs)


class FastListMixin(CheckedRequestsMixin):
    """For a ModelAdmin of a long table: never counts all rows."""

    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 100
    list_filter_submit = True
    list_disable_select_all = True  # their number is unknown
    sort_keys: ClassVar[dict[str, Any]] = {}  # by column name: the expression to sort by instead of the field

    @display(description=ModelAdmin.action_checkbox.short_description)  # type: ignore[untyped-decorator]
    def action_checkbox(self, obj: Any) -> SafeString:
        return format_html(row_checkbox(), obj.pk)

    def find(self, queryset: QuerySet[Any], text: str) -> Found | None:
        """Search in these rows. None: use Django's own search, which suits short lists."""
        return None

    def get_changelist(self, request: HttpRequest, **more: Any) -> type[FastChangeList]:
        return FastChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        found = self.find(queryset, text) if text else None
        if found is None:
            plain: tuple[QuerySet[Any], bool] = super().get_search_results(  # type: ignore[misc]
                request, queryset, search_term
            )
            return plain
        if found.more:
            messages.info(
                request, f"More than {MOST} rows match. {len(found.pks)} of them are shown; enter more of the name."
            )
        return queryset.filter(pk__in=found.pks), False
