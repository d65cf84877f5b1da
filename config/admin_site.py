"""Settings of unfold: the admin's menu, its icons and its colours."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    app, _, name = model.partition(".")
    link = reverse_lazy(f"admin:{app}_{name}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": _may(f"{app}.view_{name}")}


def _is_about_presets(request: HttpRequest) -> bool:
    """Not on the page “On arrival”, which is below that of presets and has an entry of its own."""
    return "/preset/" in request.path and not request.path.endswith("/arrivals/")


def _is_search(request: HttpRequest) -> bool:
    return request.path.endswith("/mediafile/search/")


def _is_about_files(request: HttpRequest) -> bool:
    """Not on the page “Search”, whose address is below that of files."""
    return "/mediafile/" in request.path and not _is_search(request)


UNFOLD = {
    "SITE_TITLE": "Millrace",
    "SITE_HEADER": "Millrace",
    "SITE_URL": None,
    "SITE_SYMBOL": "water",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/favicon.svg"}],
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "config.login.LoginForm"},
    "STYLES": ["/static/uploads/admin.css"],
    "SCRIPTS": ["/static/uploads/times.js", "/static/uploads/live.js"],
    "DASHBOARD_CALLBACK": "media_jobs.admin.dashboard.add_context",
    "SIDEBAR": {
        "navigation": [
            {
                "items": [
                    {"title": "Dashboard", "icon": "monitoring", "link": reverse_lazy("admin:index")},
                    {
                        "title": "Search",
                        "icon": "search",
                        "link": reverse_lazy("admin:uploads_mediafile_search"),
                        "permission": _may("uploads.view_mediafile"),
                        "active": _is_search,
                    },
                    {**_page("Files", "movie", "uploads.mediafile"), "active": _is_about_files},
                    _page("Uploads", "upload", "uploads.upload"),
                    _page("Jobs", "conversion_path", "media_jobs.job"),
                    {
                        "title": "Batches",
                        "icon": "stacks",
                        "link": reverse_lazy("admin:media_jobs_batch_changelist"),
                        "permission": _may("media_jobs.view_job"),
                    },
                ]
            },
            {
                "title": "Processing",
                "separator": True,
                "items": [
                    {**_page("Presets", "tune", "media_jobs.preset"), "active": _is_about_presets},
                    {
                        "title": "On arrival",
                        "icon": "move_to_inbox",
                        "link": reverse_lazy("admin:media_jobs_preset_arrivals"),
                        "permission": _may("media_jobs.add_job"),
                    },
                    _page("Workers", "memory", "media_jobs.worker"),
                    _page("Lanes", "alt_route", "media_jobs.lane"),
                    _page("Model servers", "neurology", "media_jobs.modelendpoint"),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    _page("Users", "person", "auth.user"),
                    _page("Groups", "group", "auth.group"),
                    _page("Tokens", "key", "uploads.token"),
                    _page("Audit log", "history", "admin.logentry"),
                ],
            },
        ]
    },
    # The teal of the favicon.
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.72)",
            "100": "oklch(95.3% .051 180.801)",
            "200": "oklch(91% .096 180.426)",
            "300": "oklch(85.5% .138 181.071)",
            "400": "oklch(77.7% .152 181.912)",
            "500": "oklch(70.4% .14 182.503)",
            "600": "oklch(51.1% .096 186.391)",
            "700": "oklch(43.7% .078 188.216)",
            "800": "oklch(38.6% .063 188.416)",
            "900": "oklch(33% .055 190)",
            "950": "oklch(27.7% .046 192.524)",
        }
    },
}
