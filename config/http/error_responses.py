"""Turn exceptions into HTTP responses: problem documents (RFC 9457) with a stable `code`, without traces or paths."""

import json
import re
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from uploads.errors import ChecksumMismatch, Refusal
from uploads.runtime.request_context import current_request_id

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"

STATUS: dict[str, int] = {
    "already_finished": 409,
    "content_lost": 409,
    "content_unavailable": 503,
    "csrf_failed": 403,
    "database_unavailable": 503,
    "digest_mismatch": 400,
    "empty_file": 400,
    "endpoint_unavailable": 400,
    "extra_missing": 400,
    "forbidden": 403,
    "gone": 410,
    "in_flight": 409,
    "in_use": 409,
    "incomplete_body": 400,
    "infected": 422,
    "insufficient_storage": 507,
    "invalid_digest": 400,
    "invalid_link": 403,
    "invalid_metadata": 400,
    "invalid_name": 400,
    "invalid_params": 400,
    "invalid_request": 400,
    "key_reused": 422,
    "length_required": 411,
    "locked": 423,
    "malformed_form": 400,
    "metadata_too_large": 413,
    "method_not_allowed": 405,
    "missing_file": 400,
    "name_taken": 409,
    "no_direct_uploads": 409,
    "no_resumable_uploads": 409,
    "not_an_entrance": 400,
    "not_found": 404,
    "not_streamable": 409,
    "offset_mismatch": 409,
    "parts_mismatch": 409,
    "preset_invalid": 409,
    "quota_exceeded": 413,
    "scan_unavailable": 503,
    "scope_missing": 403,
    "server_busy": 503,
    "server_error": 500,
    "storage_unavailable": 503,
    "throttled": 429,
    "too_large": 413,
    "too_large_to_scan": 413,
    "too_many_files": 400,
    "too_many_tokens": 409,
    "too_many_uploads": 429,
    "too_slow": 408,
    "unauthenticated": 401,
    "unsupported_coding": 415,
    "unsupported_media": 415,
    "unsupported_request": 415,
    "unsupported_version": 412,
}
_LINKS = "/api/v1/links/"
CHECKSUM_MISMATCH = 460  # a status that only tus has


class Problem:
    """One error response: code, text, further fields for programs, and headers."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
        status: int | None = None,
        **more: Any,
    ) -> None:
        self.code, self.status = code, status or STATUS[code]
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        title = "Checksum Mismatch" if self.status == CHECKSUM_MISMATCH else HTTPStatus(self.status).phrase
        self.body = {
            "type": f"urn:millrace:problem:{code}", "title": title, "status": self.status, "code": code,
            "detail": detail, **more,
        }  # fmt: skip
        if request_id := current_request_id():
            self.body["request_id"] = request_id


# Exceptions of Django and its libraries: our code and text for each.
_FOREIGN: list[tuple[tuple[type[Exception], ...], str, str]] = [
    ((Http404, exceptions.NotFound), "not_found", "Not found, or you do not have permission to see it."),
    (
        (exceptions.UnsupportedMediaType,),
        "unsupported_request",
        "This Content-Type is not supported here.",
    ),
    (
        (exceptions.ParseError, RecursionError),  # RecursionError: deeply nested JSON
        "invalid_request",
        "The body is not valid for its Content-Type.",
    ),
    ((exceptions.PermissionDenied, PermissionDenied), "forbidden", "You do not have permission to do this."),
    (
        (OperationalError, InterfaceError),
        "database_unavailable",
        "The database is unavailable. Try again in a few seconds.",
    ),
]


def of(error: Exception) -> Problem | None:
    """The response to an exception, or None for an unexpected one."""
    match error:
        case ChecksumMismatch():
            return Problem(error.code, error.detail, status=CHECKSUM_MISMATCH)
        case Refusal():
            headers = _challenge(error.code)
            return Problem(error.code, error.detail, retry_after=error.retry_after, headers=headers, **error.more)
        case exceptions.ValidationError():
            return Problem("invalid_params", "Some values are not valid. See `errors`.", errors=error.detail)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Problem("unauthenticated", str(error.detail), headers=_challenge("unauthenticated"))
        case exceptions.MethodNotAllowed():
            return Problem("method_not_allowed", str(error.detail))
        case exceptions.Throttled():
            wait = int(getattr(error, "wait", None) or 1) + 1
            return Problem("throttled", "Too many requests. Send fewer, or wait.", retry_after=wait)
    for kinds, code, detail in _FOREIGN:
        if isinstance(error, kinds):
            return Problem(code, detail, retry_after=5 if code == "database_unavailable" else None)
    return None


def _challenge(code: str) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if code == "unauthenticated" else {}


def api_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER."""
    problem = of(error)
    if problem is None:
        return None
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Refusal):
        log.error("request_failed", exc_info=error)
    set_rollback()
    response = Response(problem.body, status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)
    response.problem_code = problem.code  # type: ignore[attr-defined]  # for the request log
    return response


def page(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A page for a browser outside the API and at a signed link, the problem document for other clients."""
    for_people = _is_for_people(request)
    title = "This link does not work" if problem.code == "invalid_link" else problem.body["title"]
    start = "" if request.path.startswith(_LINKS) else "/"
    context = {"problem": problem.body, "title": title, "back": _came_from(request), "start": start}
    body = render_to_string("problem.html", context) if for_people else json.dumps(problem.body)
    media_type = "text/html" if for_people else MEDIA_TYPE
    response = HttpResponse(body, status=problem.status, headers=problem.headers, content_type=media_type)
    response.problem_code = problem.code  # type: ignore[attr-defined]  # for the request log
    return response


def _is_for_people(request: HttpRequest) -> bool:
    if request.path.startswith(_LINKS):  # content for programs, which accept */*: only browsers name HTML
        return "text/html" in request.headers.get("Accept", "")
    return not request.path.startswith("/api/") and request.accepts("text/html")


def as_http(refusal: Refusal) -> bytes:
    """A complete response, for the web server's worker: the application has not seen the request."""
    problem = Problem(refusal.code, refusal.detail, retry_after=refusal.retry_after)
    body = json.dumps(problem.body).encode()
    headers = problem.headers | {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {problem.status} {problem.body['title']}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _came_from(request: HttpRequest) -> str:
    """The page of the admin that sent the form, as a path: it stays on this site whatever the Referer header says."""
    found = re.match(r"https?://[^/]+(/admin/[^?#]*)", request.headers.get("Referer", ""))
    return found[1] if found and request.method == "POST" else ""


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, of(exception) or Problem("invalid_request", "The request is not valid."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, Problem("forbidden", "You do not have permission to do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, Problem("not_found", "This page does not exist."))


def server_error(request: HttpRequest) -> HttpResponse:
    return page(request, Problem("server_error", "An internal error occurred. It was logged."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return page(request, Problem("csrf_failed", "The form has no valid CSRF token. Reload the page and try again."))


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add problem documents to the OpenAPI document: every operation may respond with one."""
    properties = {name: {"type": "string"} for name in ("type", "title", "code", "detail", "request_id")}
    result["components"].setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "properties": {**properties, "status": {"type": "integer"}, "code": {"enum": sorted(STATUS)}},
        "required": ["type", "title", "status", "code", "detail"],
    }
    answer = {
        "description": "An error",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for methods in result["paths"].values():
        for operation in methods.values():
            operation["responses"]["default"] = answer
    return result
