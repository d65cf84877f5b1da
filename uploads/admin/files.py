"""Admin pages of files: the list, and a page per file with player, details and the panels of media_jobs."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .. import hooks, list_search
from ..access import permissions
from ..api.player import player_context
from ..errors import InvalidParams
from ..hooks import FilePage
from ..list_search import Found
from ..models import MediaFile, NameKey
from ..templatetags.local_times import local_time
from ..text.client_metadata import in_words
from ..text.sizes import exact_size, human_size
from .file_actions import FileDeletionMixin, FileLinksMixin
from .lists import cells
from .lists.csv_export import CsvExportMixin
from .lists.filters import ChoiceFilter, CreatedFilter, OwnerFilter, SizeFilter
from .search_page import SearchPageMixin
from .upload_form import UploadFormMixin

# Up to this size an image serves as its own thumbnail; larger ones would take too long to load.
_MAX_THUMBNAIL = 1_000_000


@admin.register(MediaFile)
class MediaFileAdmin(SearchPageMixin, UploadFormMixin, CsvExportMixin, FileLinksMixin, FileDeletionMixin):
    list_display = ["picture", "name", "kind", "size_words", "sha256", "owner", "created_at"]
    list_display_links = ["name"]
    list_filter = [("kind", ChoiceFilter), ("origin", ChoiceFilter), OwnerFilter, CreatedFilter, SizeFilter]
    search_fields = ["name"]
    search_help_text = "Start of name or SHA-256, or the ID"
    sortable_by = ["name", "size_words", "created_at"]
    sort_keys: ClassVar[dict[str, Any]] = {"name": NameKey("name")}
    list_select_related = ["blob", "owner"]
    ordering = ["-created_at", "-id"]
    change_form_template = "admin/uploads/mediafile/change_form.html"
    export_values = {
        "picture": None,
        "size_words": lambda file: file.size,
        "sha256": lambda file: file.blob.sha256,
        "ID": lambda file: file.pk,
    }

    @admin.display(description="")
    def picture(self, file: MediaFile) -> SafeString:
        return format_html('<span class="mr-picture">{}</span>', _thumbnail(getattr(file, "thumbnail", None), file))

    @admin.display(description="size", ordering="size")
    def size_words(self, file: MediaFile) -> str:
        return human_size(file.size)

    @admin.display(description="SHA-256")
    def sha256(self, file: MediaFile) -> str:
        return cells.copyable(file.blob.sha256, f"{file.blob.sha256[:8]}…")

    def find(self, queryset: QuerySet[MediaFile], text: str) -> Found:
        return list_search.files(queryset, text)

    def get_queryset(self, request: HttpRequest) -> QuerySet[MediaFile]:
        return permissions.visible_files(request.user)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        files = list(shown.result_list)  # evaluates it: the template uses the same objects
        pictures = thumbnails_of(files)
        for file in files:
            file.thumbnail = pictures.get(file.pk)
        return shown

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        offered = {page.name: _action(page) for page in hooks.file_pages if page.act and page.offered(request.user)}
        return offered | super().get_actions(request)

    def get_urls(self) -> list[Any]:
        named = [
            path(
                f"<uuid:pk>/{page.name}/",
                self.admin_site.admin_view(partial(self._page, page)),
                name=f"uploads_mediafile_{page.name}",
            )
            for page in hooks.file_pages
        ]
        of_all = [
            path(
                f"all/{page.name}/",
                self.admin_site.admin_view(partial(self._page_of_all, page)),
                name=f"uploads_mediafile_all_{page.name}",
            )
            for page in hooks.file_pages
            if page.act_on_all
        ]
        return [*named, *of_all, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        pages = [page for page in hooks.file_pages if page.act_on_all and page.offered(request.user)]
        return super().changelist_view(request, {"pages_of_all": pages, **(extra_context or {})})

    def _page_of_all(self, page: FilePage, request: HttpRequest) -> HttpResponse:
        """A page about all files that the query string filters, as the list does."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        assert page.act_on_all is not None
        try:
            files = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            raise InvalidParams("These filters are invalid.") from None
        return page.act_on_all(request, files)

    def _page(self, page: FilePage, request: HttpRequest, pk: UUID) -> HttpResponse:
        file = self.get_object(request, str(pk))
        if file is None:
            raise Http404("This file does not exist, or you may not view it.")
        return page.view(request, file)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: MediaFile | None = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            context |= self._page_of(request, obj)
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def _page_of(self, request: HttpRequest, file: MediaFile) -> dict[str, Any]:
        panels = [panel for ask in hooks.file_panels for panel in ask(request, file)]
        return {
            "title": file.name,
            **player_context(file, reverse("file-content", args=[file.pk])),
            "details": details_of(file),
            "metadata": in_words(file.metadata),
            "picture_url": _content(thumbnails_of([file]).get(file.pk)),
            "panels": {
                place: [each for each in panels if each.place == place] for place in ("player", "main", "side")
            },
            "pages": [page for page in hooks.file_pages if page.offered(request.user)],
            "may_link": permissions.may(request.user, "change", file),
            "may_delete": self.has_delete_permission(request, file),
        }


def _action(page: FilePage) -> tuple[Any, str, str]:
    def act(modeladmin: Any, request: HttpRequest, queryset: QuerySet[MediaFile]) -> HttpResponse | None:
        assert page.act is not None
        return page.act(request, queryset)

    return act, page.name, page.label


def details_of(file: MediaFile) -> list[tuple[str, object]]:
    blob = file.blob
    return [
        ("Kind", blob.kind or "unknown"),
        ("Media type", blob.media_type),
        ("Size", exact_size(blob.size)),
        ("SHA-256", cells.copyable(blob.sha256)),
        ("ID", cells.copyable(str(file.pk))),
        ("Origin", file.get_origin_display()),
        ("Owner", file.owner),
        ("Created", local_time(file.created_at)),
        ("Content", cells.state_badge(file, blob.state, blob.get_state_display(), is_active=False)),
    ]


def thumbnails_of(files: Sequence[MediaFile]) -> dict[UUID, UUID]:
    """The thumbnails of files by id, as ids of image files. A small image is its own thumbnail."""
    found = {file.pk: file.pk for file in files if file.blob.kind == "image" and file.blob.size <= _MAX_THUMBNAIL}
    for ask in hooks.file_pictures:
        found |= ask([file.pk for file in files])
    return found


def _content(pk: UUID | None) -> str:
    return reverse("file-content", args=[pk]) if pk else ""


_ICONS = {"video": "movie", "audio": "graphic_eq", "image": "image", "subtitle": "subtitles"}


def _thumbnail(picture: UUID | None, file: MediaFile) -> SafeString:
    if picture is not None:
        return format_html('<img src="{}" alt="" loading="lazy" decoding="async">', _content(picture))
    icon = _ICONS.get(file.blob.kind, "draft")
    return format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', icon)
