"""What every request passes."""

from collections.abc import Callable
from datetime import UTC
from functools import partial
from ipaddress import ip_address, ip_network
from itertools import takewhile
from typing import Any, cast

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import timezone

from config.addresses import peer, unmapped
from config.monitoring.health import PROBES
from config.wsgi_environ import KNOWS_CLIENT
from uploads.access.authentication import is_known
from uploads.conf import limits
from uploads.errors import LengthRequired, TooLarge
from uploads.http import tus_headers
from uploads.http.body import is_chunked
from uploads.http.upload_handler import takes_large_body, takes_small_body
from uploads.models import Upload
from uploads.transfers import upload_counters
from uploads.transfers.quota import largest_file

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# unfold's Alpine evaluates expressions, and writes style attributes. Nothing of a user's stands in an x-* attribute.
# Files are played on their own pages.
_ADMIN = _STRICT.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'; media-src 'self'"
)
# Swagger UI writes style attributes.
_DOCS = _STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_RESUMABLE = "/api/v1/uploads/"
_OVERRIDES = {"PATCH", "DELETE", "HEAD"}
_OF_PROXIES = ("HTTP_X_FORWARDED_", "HTTP_X_REQUEST_ID")


def content_policy(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "Content-Security-Policy" not in response:
            response["Content-Security-Policy"] = _policy_for(request.path)
        return response

    return middleware


def _policy_for(path: str) -> str:
    if path.startswith("/admin/"):
        return _ADMIN
    return _DOCS if path == "/api/v1/docs/" else _STRICT


def api_in_utc(get_response: GetResponse) -> GetResponse:
    """Programs read and write times in UTC, whatever the server's zone is: that is for people."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            return get_response(request)
        with timezone.override(UTC):
            return get_response(request)

    return middleware


def client_address(get_response: GetResponse) -> GetResponse:
    """Believe X-Forwarded-* and X-Request-ID only from MILLRACE_TRUSTED_PROXIES; the client's address is in there."""
    trusted = [ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES]

    def is_trusted(address: str) -> bool:
        return any(peer(address) in network for network in trusted)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request.META["REMOTE_ADDR"] = unmapped(request.META.get("REMOTE_ADDR", ""))
        hops = [request.META["REMOTE_ADDR"], *_forwarded_for(request)]
        if not hops[0] or not is_trusted(hops[0]):
            for name in [name for name in request.META if name.startswith(_OF_PROXIES)]:
                del request.META[name]
        else:
            request.META["REMOTE_ADDR"] = next((hop for hop in hops if not is_trusted(hop)), hops[-1])
        return get_response(request)

    return middleware


def _forwarded_for(request: HttpRequest) -> list[str]:
    """The addresses a request came through, nearest first, up to the first that is none."""
    hops = [hop.strip() for hop in reversed(request.headers.get("X-Forwarded-For", "").split(","))]
    return list(takewhile(_is_address, hops))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def known_client(get_response: GetResponse) -> GetResponse:
    """Let the worker ask whether we know a client whose body nobody wants. Few requests come to that."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request.META[KNOWS_CLIENT] = partial(is_known, request)
        return get_response(request)

    return middleware


def probes(get_response: GetResponse) -> GetResponse:
    """Answer what machines ask a process by its address, before the Host header is checked.

    Load balancers, kubelets and Prometheus have no other name for it, and ALLOWED_HOSTS cannot list such addresses.
    A page that names itself so, to read it from a browser, is none of ours either: a name must be in that list.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in PROBES and _is_address(_host(request)):
            view, args, kwargs = request.resolver_match = resolve(request.path_info)
            answer = cast(HttpResponse, view(request, *args, **kwargs))
            answer["Content-Length"] = str(len(answer.content))  # CommonMiddleware, which is passed by, would say it
            return answer
        return get_response(request)

    return middleware


def _host(request: HttpRequest) -> str:
    return split_domain_port(request.META.get("HTTP_HOST", ""))[0].strip("[]")


def resumable(get_response: GetResponse) -> GetResponse:
    """What tus asks of every exchange, also of those that end before their view: its version in the answer.

    And for clients behind proxies that let only POST through, another method's name in a header, before routing.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(_RESUMABLE):
            return get_response(request)
        _override_method(request)
        response = get_response(request)
        response["Tus-Resumable"] = tus_headers.VERSION
        return response

    return middleware


def _override_method(request: HttpRequest) -> None:
    meant = request.headers.get("X-HTTP-Method-Override", "").upper()
    if request.method == "POST" and meant in _OVERRIDES:
        request.method = request.META["REQUEST_METHOD"] = meant


class RefuseLargeBodies:
    """Refuse what is too large by its Content-Length, before a byte of the body is read; before CSRF, too."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        allowed = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        is_upload = takes_large_body(request, view)
        if is_upload:
            # Some accounts may have larger ones. Whose it is, and what that may send, is found out at admission.
            usual = allowed + limits().max_file_size
            allowed = usual if length <= usual else allowed + largest_file()
        elif is_chunked(request.META):
            raise LengthRequired("Say how long the body is with Content-Length.")
        if length > allowed:
            if is_upload:
                upload_counters.count_refused(_protocol(request), TooLarge.code)
            raise TooLarge(f"A request here may have {allowed} bytes.")


def _protocol(request: HttpRequest) -> Upload.Protocol:
    if request.content_type == "multipart/form-data":
        return Upload.Protocol.FORM
    return Upload.Protocol.TUS if request.path.startswith(_RESUMABLE) else Upload.Protocol.PUT


def reads_body_into_memory(environ: dict[str, Any]) -> bool:
    """Whether the view of a request reads its body whole. The worker asks, before the application sees the request.

    It gathers such a body without a thread. Other views stream it, or refuse it unread.
    """
    request = WSGIRequest(environ)
    if request.path.startswith(_RESUMABLE):
        _override_method(request)
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return False
    return takes_small_body(request, view)
