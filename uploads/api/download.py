"""files/ID/content and signed links: send the content of a file, all of it or one range."""

import base64
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
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
from ..http.composed_response import fileno_of
from ..models import Blob, MediaFile
from ..runtime.database_connections import release_connection
from ..scopes import Scope
from ..sinks.base import SinkError
from ..sinks.download_urls import Presentation
from ..storage.blobs import is_whole, local_path, open_blob
from ..storage.download_urls import download_urls, url_lifetime
from ..transfers import upload_counters
from .redirects import may_redirect, redirect_to

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
    link = signed_links.resolve_link(token)
    response = content_response(request, link.file, seconds_left=link.seconds_left)
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    return response


def content_response(request: HttpRequest, file: MediaFile, *, seconds_left: float = math.inf) -> HttpResponseBase:
    """Send the content, or redirect the client to it. `seconds_left`: for how long the client may read it."""
    return _Download(request, file, seconds_left).response()


@dataclass(frozen=True, slots=True)
class _Download:
    request: HttpRequest
    file: MediaFile
    seconds_left: float

    @property
    def blob(self) -> Blob:
        return self.file.blob

    @property
    def etag(self) -> str:
        return f'"{self.blob.sha256}"'

    @property
    def modified(self) -> int:
        """The date of the file, not of its Blob: another account may have uploaded the same bytes earlier."""
        return int(self.file.created_at.timestamp())

    @property
    def shown(self) -> Presentation:
        disposition = content_disposition_header(not self.is_inline, self.file.name) or "attachment"
        return Presentation(self.blob.media_type, disposition)

    @property
    def is_inline(self) -> bool:
        return self.blob.kind in _INLINE and "download" not in self.request.GET

    def response(self) -> HttpResponseBase:
        response = self._answer()
        response["Vary"] = "Authorization, Cookie"
        if response.status_code == 302:
            return response
        response["ETag"] = self.etag
        response["Last-Modified"] = http_date(self.modified)
        if "X-Accel-Redirect" not in response:  # nginx adds its own
            response["Accept-Ranges"] = "bytes"
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = _CONTENT_POLICY
        response.setdefault("Cache-Control", "private, no-cache")
        if response.status_code in {200, 206}:
            response["Content-Type"] = self.shown.media_type
            response["Content-Disposition"] = self.shown.disposition
            response.setdefault("Repr-Digest", f"sha-256=:{_base64(self.blob.sha256)}:")
        return response

    def _answer(self) -> HttpResponseBase:
        conditional = get_conditional_response(self.request, etag=self.etag, last_modified=self.modified)
        if conditional is not None and conditional.status_code != 412:
            return conditional
        if conditional is None and self._is_sent_by_nginx:
            return _accel(self.blob)
        try:
            wanted = self._wanted_range()
        except Unsatisfiable:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{self.blob.size}"})
        return self._redirect(wanted) or conditional or self._content(wanted)

    @property
    def _is_sent_by_nginx(self) -> bool:
        """Not with If-Match, which nginx would compare with an ETag of its own, nor for HEAD: it needs no bytes."""
        asks = self.request.method == "GET" and "If-Match" not in self.request.headers
        return bool(limits().accel_prefix and asks and local_path(self.blob) is not None)

    def _wanted_range(self) -> ByteRange | None:
        header = self.request.headers.get("Range")
        if header is None or self.request.method != "GET":
            return None
        condition = self.request.headers.get("If-Range")
        if condition is not None and condition != self.etag and parse_http_date_safe(condition) != self.modified:
            return None
        return parse_range(header, self.blob.size)

    def _redirect(self, wanted: ByteRange | None) -> HttpResponse | None:
        """None: this server sends the content, or refuses to."""
        with as_unavailable():
            urls = download_urls(self.blob)
            if urls is None or not may_redirect(self.request, self.blob, wanted):
                return None
        require_whole(self.blob)
        seconds = min(self.seconds_left, url_lifetime(self.file.facts, is_inline=self.is_inline))
        return redirect_to(urls.url(self.blob.key, self.shown, math.ceil(seconds)))

    def _content(self, wanted: ByteRange | None) -> HttpResponseBase:
        sent = wanted or ByteRange(0, self.blob.size)
        response = _head(self.blob) if self.request.method == "HEAD" else _body(self.blob, sent)
        response["Content-Length"] = str(len(sent))
        if wanted:
            response.status_code = 206
            response["Content-Range"] = wanted.content_range(self.blob.size)
        return response


def _base64(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _accel(blob: Blob) -> HttpResponse:
    """Let nginx send the content and handle ranges."""
    require_whole(blob)
    return HttpResponse(headers={"X-Accel-Redirect": quote(f"{limits().accel_prefix}{blob.key[:2]}/{blob.key}")})


def _head(blob: Blob) -> HttpResponse:
    require_whole(blob)
    return HttpResponse()


def _body(blob: Blob, sent: ByteRange) -> StreamingHttpResponse:
    require_whole(blob)
    with as_unavailable():
        reader = open_blob(blob, sent.start, sent.stop)
    upload_counters.SENT.inc(len(sent))
    release_connection()
    part = _Part(reader, len(sent))
    # A server with sendfile() sends a FileResponse with it. Without a descriptor it would read pieces of 4 KB.
    return FileResponse(part) if part.has_descriptor else StreamingHttpResponse(part)


def require_whole(blob: Blob) -> None:
    """Raise ContentUnavailable unless the store has the bytes."""
    with as_unavailable():
        if not is_whole(blob):
            raise ContentUnavailable("The content of this file is missing. Ask your administrator.")


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn errors of the store into ContentUnavailable."""
    try:
        yield
    except SinkError as error:
        raise ContentUnavailable(
            "The content of this file cannot be read now. Try again later, or ask your administrator."
        ) from error


class _Part(io.RawIOBase):
    """The next `length` bytes of a file. A server with sendfile() uses `fileno` and never calls `read`."""

    def __init__(self, reader: BinaryIO, length: int) -> None:
        self._reader, self._left = reader, length

    @property
    def has_descriptor(self) -> bool:
        return fileno_of(self._reader) is not None

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._reader.fileno()

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self.readall()
        data = self._reader.read(min(size, self._left))
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._reader.close()
        super().close()

    def __iter__(self) -> Iterator[bytes]:
        size = limits().chunk_size or _PIECE
        return iter(lambda: self.read(size), b"")
