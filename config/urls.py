from typing import Any, NoReturn

from django.contrib import admin
from django.http import Http404, HttpRequest
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from config.http.api_description import EntrancesView, SchemaView
from config.login import login
from config.monitoring import health
from config.monitoring.metrics import metrics
from media_jobs.admin import dashboard
from uploads.admin.accounts import change_own_password

api: list[Any] = [
    path("", include("media_jobs.api.urls")),  # first: links/TOKEN/hls/ is more special than links/TOKEN/NAME
    path("", include("uploads.api.urls")),
    path("", EntrancesView.as_view(), name="entrances"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]


def view_on_site(request: HttpRequest, rest: str) -> NoReturn:
    """Objects have no pages outside the admin. Django's own view responds with 500 to an invalid id."""
    raise Http404


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg"), name="favicon"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/v1/", include(api)),
    path("admin/now/", admin.site.admin_view(dashboard.live), name="now"),
    path(
        "admin/password_change/",
        admin.site.admin_view(change_own_password, cacheable=True),
        name="change-own-password",
    ),
    path("admin/login/", login, name="login"),
    path("admin/r/<path:rest>", admin.site.admin_view(view_on_site)),
    path("admin/", admin.site.urls),
]
handler400 = "config.http.error_responses.bad_request"
handler403 = "config.http.error_responses.forbidden"
handler404 = "config.http.error_responses.not_found"
handler500 = "config.http.error_responses.server_error"
