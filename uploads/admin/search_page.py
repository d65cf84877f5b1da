"""The page “Search”: one box for names, metadata, and what is said and read in files."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse

from ..access import permissions
from ..text.text_query import TextQuery
from ..text.times import clock
from ..text_search import Hit, find, hits

_SHOWN = 50
_LONGEST = 10_000  # characters: the first ones are more than count


class SearchPageMixin:
    """For the admin of MediaFile."""

    admin_site: Any
    has_view_permission: Any

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self._search)
        return [path("search/", page, name="uploads_mediafile_search"), *super().get_urls()]  # type: ignore[misc]

    def _search(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = request.GET.get("q", "")[:_LONGEST]
        query = TextQuery.parse(asked)
        rows = list(find(permissions.visible_texts(request.user), query)[: _SHOWN + 1])
        context = {
            **self.admin_site.each_context(request),
            "title": "Search",
            "asked": asked,
            "hits": [(hit, _moment(hit), _page_about(hit)) for hit in hits(rows[:_SHOWN], query)],
            "is_more": len(rows) > _SHOWN,
            "most": _SHOWN,
        }
        return TemplateResponse(request, "admin/uploads/mediafile/search.html", context)


def _moment(hit: Hit) -> str:
    return "" if hit.start is None else clock(hit.start)


def _page_about(hit: Hit) -> str:
    """The page of the job whose metadata it is; empty for others."""
    source = hit.app_source
    return reverse(source.admin_route, args=[hit.about]) if source else ""
