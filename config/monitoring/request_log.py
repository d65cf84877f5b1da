"""Give each request an id, and log one line about it when its response has been sent."""

import re
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config.monitoring.health import PROBES
from config.wsgi_environ import EXCHANGE
from uploads import audit_log
from uploads.access.authentication import cached_principal
from uploads.runtime import request_context
from uploads.runtime.django_private import call_on_close

HEADER = "X-Request-ID"
_WELL_FORMED = re.compile(rf"[A-Za-z0-9._:=+/@-]{{1,{request_context.REQUEST_ID_LENGTH}}}")
log = structlog.get_logger("millrace.request")


def log_requests(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Log a request when its response is closed. Another thread may have sent the end of the response."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        started, request_id = time.monotonic(), _id_of(request)
        request_context.begin(request_id)
        try:
            response = get_response(request)
        finally:
            _end()
        response[HEADER] = request_id
        if request.path not in PROBES:
            call_on_close(response, partial(_write_line, request, response, request_id, started))
        return response

    return middleware


def _id_of(request: HttpRequest) -> str:
    """The id from a trusted proxy, or a new one. The middleware client_address has removed ids from other clients."""
    # Not request.headers: they may have been cached before client_address removed the id.
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    return given if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex


def _write_line(request: HttpRequest, response: HttpResponseBase, request_id: str, started: float) -> None:
    request_context.begin(request_id)  # for this line and what follows until request_finished
    principal, exchange = cached_principal(request), request.META.get(EXCHANGE)
    log.info(
        "request",
        method=request.method,
        path=_loggable(request),
        status=response.status_code,
        code=getattr(response, "problem_code", None),
        seconds=round(time.monotonic() - started, 3),
        account=principal and principal.user.username,
        token=principal and principal.token and principal.token.name,
        address=request.META.get("REMOTE_ADDR"),
        bytes_in=exchange and exchange.received,
        bytes_out=exchange and exchange.sent,
    )


def _loggable(request: HttpRequest) -> str:
    """The path without the token of a signed link: with it, every reader of the log could download the file."""
    match = request.resolver_match
    if match is not None and (match.url_name or "").startswith("link-"):
        return "/api/v1/links/…"
    return "/api/v1/links/…" if request.path.startswith("/api/v1/links/") else request.path


def _end(**_: Any) -> None:
    request_context.end()
    audit_log.act_as(None)


request_finished.connect(_end)
