"""Middleware: security headers, trusted proxies, probes, tus headers, and limits of request bodies."""

import re
from collections.abc import Callable
from datetime import UTC
from functools import cache, partial
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
from uploads.access.authentication import has_valid_credentials
from uploads.conf import limits
from uploads.errors import LengthRequired, TooLarge
from uploads.http import tus_headers
from uploads.http.body import is_chunked
from uploads.http.upload_handler import takes_large_body, takes_small_body
from uploads.models import Upload
from uploads.storage.download_urls import download_origins
from uploads.storage.stores import upload_origins
from uploads.text.sizes import human_size
from uploads.transfers import upload_counters
from uploads.transfers.quota import largest_file

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# unfold uses Alpine, which evaluates expressions and writes style attributes. So no text of users may be in an x-*
# attribute. A file's page plays it.
_ADMIN = _STRICT.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'; media-src 'self'"
)
# What hls.js gives the player of a file's page: its media as a blob, and empty subtitles to begin with as data.
_PAGE_WITH_PLAYER = re.compile(r"/admin/uploads/mediafile/[^/]+/change/")
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
        policy = _admin_policy()
        return policy.replace("media-src", "media-src blob: data:") if _PAGE_WITH_PLAYER.fullmatch(path) else policy
    return _DOCS if path == "/api/v1/docs/" else _STRICT


@cache
def _admin_policy() -> str:
    """Allows content from the store or its CDN, where downloads are redirected to it, and direct uploads to it."""
    policy = re.sub("(img|media)-src 'self'", " ".join([r"\g<0>", *download_origins()]), _ADMIN)
    return policy.replace("connect-src 'self'", " ".join(["connect-src 'self'", *upload_origins()]))


def api_in_utc(get_response: GetResponse) -> GetResponse:
    """The API uses UTC. The server's time zone is for people."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            return get_response(request)
        with timezone.override(UTC):
            return get_response(request)

    return middleware


def client_address(get_response: GetResponse) -> GetResponse:
    """Set REMOTE_ADDR to the client's address. X-Forwarded-* and X-Request-ID count only from TRUSTED_PROXIES."""
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
    """The addresses that a request came through, nearest first, up to the first that is not an IP address."""
    hops = [hop.strip() for hop in reversed(request.headers.get("X-Forwarded-For", "").split(","))]
    return list(takewhile(_is_address, hops))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def known_client(get_response: GetResponse) -> GetResponse:
    """Let the web server's worker ask whether the client has valid credentials, when it refuses a body unread.

    Then the worker waits until a known client has received the response. Few requests need that.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request.META[KNOWS_CLIENT] = partial(has_valid_credentials, request)
        return get_response(request)

    return middleware


def probes(get_response: GetResponse) -> GetResponse:
    """Answer /healthz, /readyz and /metrics under any IP address, before the Host header is checked.

    Load balancers, kubelets and Prometheus ask a process by its address, which ALLOWED_HOSTS cannot list. If the Host
    header is a name, it must be in ALLOWED_HOSTS. This prevents DNS rebinding: otherwise a foreign site could point
    its own name to this address, and read the response in a visitor's browser.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in PROBES and _is_address(_host(request)):
            view, args, kwargs = request.resolver_match = resolve(request.path_info)
            answer = cast(HttpResponse, view(request, *args, **kwargs))
            answer["Content-Length"] = str(len(answer.content))  # usually set by CommonMiddleware
            return answer
        return get_response(request)

    return middleware


def _host(request: HttpRequest) -> str:
    return split_domain_port(request.META.get("HTTP_HOST", ""))[0].strip("[]")


def resumable(get_response: GetResponse) -> GetResponse:
    """Add the header Tus-Resumable to every response below uploads/, also to errors before the view.

    X-HTTP-Method-Override is for clients behind proxies that allow only POST. It must be read before routing.
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
    """Refuse too large bodies by their Content-Length, before reading any of the body and before the CSRF check."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        allowed = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        is_upload = takes_large_body(request, view)
        if is_upload:
            # Some accounts may send larger files. The account is not known yet: admission checks its own limit.
            usual = allowed + limits().max_file_size
            allowed = usual if length <= usual else allowed + largest_file()
        elif is_chunked(request.META):
            raise LengthRequired("Send the length of the body in the header Content-Length.")
        if length > allowed:
            if is_upload:
                upload_counters.count_refused(_protocol(request), TooLarge.code)
            raise TooLarge(f"The request body is too large: at most {human_size(allowed)} are allowed here.")


def _protocol(request: HttpRequest) -> Upload.Protocol:
    if request.content_type == "multipart/form-data":
        return Upload.Protocol.FORM
    return Upload.Protocol.TUS if request.path.startswith(_RESUMABLE) else Upload.Protocol.PUT


def reads_body_into_memory(environ: dict[str, Any]) -> bool:
    """Whether the view of this request reads its whole body into memory, and neither streams nor refuses it.

    The web server's worker asks before the application sees the request, and receives such a body without a thread.
    """
    request = WSGIRequest(environ)
    if request.path.startswith(_RESUMABLE):
        _override_method(request)
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return False
    return takes_small_body(request, view)
