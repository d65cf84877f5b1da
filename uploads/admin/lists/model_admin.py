"""What all lists and pages of the control room have in common: nothing is typed in, much is seen and acted on."""

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
    """Rows are made and changed by verbs, so there is nothing to add or to edit; and they are never all counted."""

    list_fullwidth = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @contextmanager
    def audited(self, request: HttpRequest, row: Model, deed: str) -> Iterator[None]:
        """Carry out a verb on a row: a refusal is told to whoever asked, and a deed is written into its history."""
        try:
            yield
        except Refusal as refusal:
            messages.error(request, f"{row}: {refusal.detail}")
        else:
            audit_log.record(bulk_actions.actor(request), [row], deed)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:
        audit_log.record(bulk_actions.actor(request), [obj], message, audit_log.ADDITION)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        audit_log.record(bulk_actions.actor(request), [*queryset], "Deleted.", audit_log.DELETION)


class LiveAdmin(ReadOnlyAdmin):
    """A list whose rows move: live.js asks `live/` for those that are not finished, and for how many are new."""

    change_list_template = "admin/live_list.html"
    change_form_template = "admin/live_page.html"
    live_since: ClassVar[str] = "created_at"  # by which a row is new; "" where none ever is

    def live_row(self, row: Any) -> dict[str, Any]:
        """The fields that live.js keeps up to date: `state`, `label`, `moving`, `progress`, `message`, and others.

        Of a link, `NAME` is the text and `NAME_url` where it leads, or nothing.
        """
        raise NotImplementedError

    # What `live_row` looks at. Many pages ask for it every two seconds: whole rows would cost twice as much.
    live_only: ClassVar[tuple[str, ...]] = ()

    def live_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """What may be asked for."""
        rows: QuerySet[Any] = self.get_queryset(request)
        return rows.select_related(None).defer(None).only(*self.live_only) if self.live_only else rows

    def live_rows(self, rows: list[Any]) -> dict[str, dict[str, Any]]:
        return {str(row.pk): self.live_row(row) for row in rows}

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_live"
        return [path("live/", self.admin_site.admin_view(self.live), name=name), *super().get_urls()]

    def live(self, request: HttpRequest) -> JsonResponse:
        """`?id=…&id=…&since=TIME`: those rows as they are now, and how many have come since; in one query."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = [pk for text in request.GET.getlist("id")[: bulk_actions.MOST] if (pk := self._pk(text))]
        wanted = Q(pk__in=asked)
        if self.live_since and (text := request.GET.get("since", "").replace(" ", "+")):
            wanted |= Q(**{f"{self.live_since}__gt": _moment(text)})
        known = set(asked)
        found = list(self.live_queryset(request).filter(wanted).order_by()[: 2 * bulk_actions.MOST])
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
