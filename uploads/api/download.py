"""files/ID/content and signed links: send the content of a file, all of it or one range."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from ..access import permissions, signed_links
from ..access.authentication import Scopes
from ..conf import limits
from ..content.sniffing import Kind
from ..errors import ContentUnavailable
from ..http.byte_ranges import ByteRange, Unsatisfiable, parse_range
from ..models import Blob, MediaFile
from ..runtime.database_connections import release_connection
from ..scopes import Scope
from ..sinks.base import SinkError
from ..storage.blobs import is_whole, local_path, open_blob
from ..transfers import upload_counters

# Content comes from users: a browser may show media, but must not run anything in it.
_CONTENT_POLICY = "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox"
_PIECE = 256 * 1024  # for servers without sendfile()
_INLINE = {Kind.VIDEO, Kind.AUDIO, Kind.IMAGE}


class ContentView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    # "*/*" in the schema: the response is the content itself, whatever the Accept header says.
    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """Download the content of a file. Supports Range, If-Range and conditional requests."""
        file = get_object_or_404(permissions.visible_files(request.user), pk=pk)
        return content_response(request._request, file)


@require_safe
def link_content(request: HttpRequest, token: str, name: str) -> HttpResponseBase:
    """Download by signed link. The name in the URL is for people and for `curl -O`."""
    response = content_response(request, signed_links.resolve(token))
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    return response


def content_response(request: HttpRequest, file: MediaFile) -> HttpResponseBase:
    blob = file.blob
    # The date of the file, not of its Blob: another account may have uploaded the same bytes earlier.
    etag, modified = f'"{blob.sha256}"', int(file.created_at.timestamp())
    answered = get_conditional_response(request, etag=etag, last_modified=modified)
    response = answered or _body_response(request, blob, etag, modified)
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified)
    if "X-Accel-Redirect" not in response:  # nginx adds its own
        response["Accept-Ranges"] = "bytes"
    response["Vary"] = "Authorization, Cookie"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _CONTENT_POLICY
    response.setdefault("Cache-Control", "private, no-cache")
    if response.status_code in {200, 206}:
        inline = blob.kind in _INLINE and "download" not in request.GET
        response["Content-Type"] = blob.media_type
        response["Content-Disposition"] = content_disposition_header(not inline, file.name) or "attachment"
        response.setdefault("Repr-Digest", f"sha-256=:{_base64(blob.sha256)}:")
    return response


def _base64(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _body_response(request: HttpRequest, blob: Blob, etag: str, modified: int) -> HttpResponseBase:
    if _sent_by_nginx(request, blob):
        return _accel(blob)
    try:
        wanted = _wanted_range(request, blob, etag, modified)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{blob.size}"})
    sent = wanted or ByteRange(0, blob.size)
    response = _whole_or_part(request, blob, sent)
    if wanted:
        response.status_code = 206
        response["Content-Range"] = wanted.content_range(blob.size)
    return response


def _wanted_range(request: HttpRequest, blob: Blob, etag: str, modified: int) -> ByteRange | None:
    header = request.headers.get("Range")
    if header is None or request.method != "GET":
        return None
    condition = request.headers.get("If-Range")
    if condition is not None and condition != etag and parse_http_date_safe(condition) != modified:
        return None
    return parse_range(header, blob.size)


def _whole_or_part(request: HttpRequest, blob: Blob, sent: ByteRange) -> HttpResponseBase:
    reader = _open(blob, sent.start)
    response: HttpResponseBase
    if request.method == "HEAD":
        reader.close()
        response = HttpResponse()
    else:
        upload_counters.SENT.inc(len(sent))
        release_connection()
        response = FileResponse(_Part(reader, len(sent)))
    response["Content-Length"] = str(len(sent))
    return response


def _open(blob: Blob, start: int) -> BinaryIO:
    with _as_unavailable():
        _check_presence(blob)
        return open_blob(blob, start)


def _check_presence(blob: Blob) -> None:
    if not is_whole(blob):
        raise ContentUnavailable("The content of this file is missing. Ask your administrator.")


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except SinkError as error:
        raise ContentUnavailable(
            "The content of this file cannot be read now. Try again later, or ask your administrator."
        ) from error


def _sent_by_nginx(request: HttpRequest, blob: Blob) -> bool:
    """Not with If-Match, which nginx would compare with an ETag of its own, nor for HEAD, which needs no bytes."""
    asks = request.method == "GET" and "If-Match" not in request.headers
    return bool(limits().accel_prefix and asks and local_path(blob) is not None)


def _accel(blob: Blob) -> HttpResponse:
    """Let nginx send the content and handle ranges."""
    with _as_unavailable():
        _check_presence(blob)
    return HttpResponse(headers={"X-Accel-Redirect": quote(f"{limits().accel_prefix}{blob.key[:2]}/{blob.key}")})


class _Part(io.RawIOBase):
    """The next `length` bytes of a file. A server with sendfile() uses `fileno` and never calls `read`."""

    def __init__(self, reader: BinaryIO, length: int) -> None:
        self._reader, self._left = reader, length

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._reader.fileno()

    def readinto(self, buffer: Any) -> int:
        data = self._reader.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._reader.close()
        super().close()

    def __iter__(self) -> Iterator[bytes]:
        size = limits().chunk_size or _PIECE
        return iter(lambda: self.read(size) or b"", b"")
