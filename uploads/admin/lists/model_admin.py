"""Base classes of the admin pages: read-only lists and pages with actions, and rows that update themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, JsonResponse
from django.urls import path
from unfold.admin import ModelAdmin

from ... import audit_log
from ...errors import InvalidParams, Refusal
from ...text.times import parse_moment
from . import bulk_actions
from .fast_pages import FastListMixin


class ReadOnlyAdmin(FastListMixin, ModelAdmin):  # type: ignore[misc]
    """A list and pages without forms to add or edit rows. Rows change only by actions."""

    list_fullwidth = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @contextmanager
    def audited(self, request: HttpRequest, row: Model, action: str) -> Iterator[None]:
        """Run an action on a row in this block: write it to the audit log, or show a refusal as a message."""
        try:
            yield
        except Refusal as refusal:
            messages.error(request, f"{row}: {refusal.detail}")
        else:
            audit_log.record(bulk_actions.actor(request), [row], action)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:
        audit_log.record(bulk_actions.actor(request), [obj], message, audit_log.ADDITION)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        audit_log.record(bulk_actions.actor(request), [*queryset], "Deleted.", audit_log.DELETION)


class LiveAdmin(ReadOnlyAdmin):
    """A list whose rows update themselves: live.js polls `live/` for unfinished rows and the number of new rows."""

    change_list_template = "admin/live_list.html"
    change_form_template = "admin/live_page.html"
    live_since: ClassVar[str] = "created_at"  # the column that tells which rows are new; "" to announce none

    def live_row(self, row: Any) -> dict[str, Any]:
        """The values that live.js updates: `state`, `label`, `active`, `progress`, `message`, and others.

        For a link, `NAME` is the text and `NAME_url` its address, or "".
        """
        raise NotImplementedError

    # The columns that `live_row` uses. Open pages poll every two seconds; whole rows would cost twice as much.
    live_only: ClassVar[tuple[str, ...]] = ()

    def live_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that this account may poll."""
        rows: QuerySet[Any] = self.get_queryset(request)
        return rows.select_related(None).defer(None).only(*self.live_only) if self.live_only else rows

    def live_rows(self, rows: list[Any]) -> dict[str, dict[str, Any]]:
        return {str(row.pk): self.live_row(row) for row in rows}

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_live"
        return [path("live/", self.admin_site.admin_view(self.live), name=name), *super().get_urls()]

    def live(self, request: HttpRequest) -> JsonResponse:
        """Answer `?id=…&id=…&since=TIME` with these rows and the number of newer rows, in one query."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted_pks = [pk for text in request.GET.getlist("id")[: bulk_actions.MAX_ROWS] if (pk := self._pk(text))]
        wanted = Q(pk__in=wanted_pks)
        if self.live_since and (text := request.GET.get("since", "").replace(" ", "+")):
            wanted |= Q(**{f"{self.live_since}__gt": _moment(text)})
        known = set(wanted_pks)
        found = list(self.live_queryset(request).filter(wanted).order_by()[: 2 * bulk_actions.MAX_ROWS])
        rows = self.live_rows([row for row in found if row.pk in known])
        answer = {"rows": rows, "new": sum(row.pk not in known for row in found)}
        return JsonResponse(answer, headers={"Cache-Control": "no-store"})

    def _pk(self, text: str) -> Any:
        try:
            return self.opts.pk.to_python(text)
        except ValidationError:
            return None


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise InvalidParams(str(error)) from error
