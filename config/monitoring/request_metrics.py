"""Count the responses of this process by route and status, and measure the time until each began."""

import time
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

# Labels never contain a path or a method as a client wrote it: clients could create millions of series.
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
RESPONSES = Counter("millrace_http_responses", "Responses to requests.", ["route", "method", "status"])
DURATION = Histogram(
    "millrace_http_request_duration_seconds", "Time from the head of a request to the head of its response.",
    ["route", "method"], buckets=(0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 60, 600),
)  # fmt: skip


def count_answers(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        response = get_response(request)
        route, method = _route(request), _method(request)
        RESPONSES.labels(route, method, str(response.status_code)).inc()
        DURATION.labels(route, method).observe(time.monotonic() - started)
        return response

    return middleware


def _route(request: HttpRequest) -> str:
    """The name of the URL pattern. Static files and addresses that do not exist have none."""
    match = request.resolver_match
    return match.view_name if match is not None else "none"


def _method(request: HttpRequest) -> str:
    return request.method if request.method in _METHODS else "other"
