"""files/ID/hls/: play an MP4 or MOV as HLS. Nothing is copied: segments are made of ranges of the file.

Below a signed link the same addresses work without an account.
"""

import re
from collections.abc import Callable
from functools import partial

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from uploads.access import permissions, signed_links
from uploads.access.authentication import Scopes
from uploads.api.download import as_unavailable, require_whole
from uploads.http.composed_response import ComposedResponse
from uploads.models import Blob, MediaFile
from uploads.runtime.database_connections import release_connection
from uploads.scopes import Scope
from uploads.storage.blobs import open_blob
from uploads.transfers import upload_counters

from ..errors import NotStreamable
from ..hls import fragments, playlists
from ..hls.errors import Unsuitable
from ..hls.index_cache import IndexCache
from ..hls.movie import Read
from ..hls.segments import Index, Rendition

_NAME = re.compile(
    r"(?P<of>master|video|audio(?P<number>\d{1,2}))(?P<rest>\.m3u8|/init\.mp4|/(?P<segment>\d{1,6})\.m4s)"
)
# Counts up when the bytes of an answer change, as clients keep them by their ETag.
_VERSION = 1
_indexes = IndexCache()


class HlsView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str, name: str) -> HttpResponseBase:
        """Playlists, init segments and segments of a file that plays as it is: begin with `master.m3u8`."""
        file = get_object_or_404(permissions.visible_files(request.user), pk=pk)
        return hls_response(request._request, file, name)


@require_safe
def link_hls(request: HttpRequest, token: str, name: str) -> HttpResponseBase:
    """As HlsView, for requests with a signed link."""
    response = hls_response(request, signed_links.resolve(token), name)
    response["Referrer-Policy"] = "no-referrer"
    return response


def hls_response(request: HttpRequest, file: MediaFile, name: str) -> HttpResponseBase:
    blob = file.blob
    etag = f'"{blob.sha256}-{_VERSION}-{name}"'
    response = get_conditional_response(request, etag=etag) or _made(blob, name)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Cookie"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _made(blob: Blob, name: str) -> HttpResponseBase:
    wanted = _NAME.fullmatch(name)
    if wanted is None:
        raise Http404
    index = _index_of(blob)
    if wanted["of"] == "master":
        if wanted["rest"] != ".m3u8":
            raise Http404
        return _playlist(playlists.master(index))
    rendition = _rendition(index, wanted["number"])
    if wanted["rest"] == ".m3u8":
        return _playlist(playlists.media(rendition, wanted["of"]))
    if wanted["segment"] is None:
        return HttpResponse(fragments.init_segment(rendition), content_type=fragments.MEDIA_TYPE)
    return _segment(blob, rendition, int(wanted["segment"]))


def _rendition(index: Index, number: str | None) -> Rendition:
    if number is None:
        return index.video
    if int(number) >= len(index.audio):
        raise Http404
    return index.audio[int(number)]


def _playlist(text: str) -> HttpResponse:
    return HttpResponse(text, content_type=playlists.MEDIA_TYPE)


def _segment(blob: Blob, rendition: Rendition, number: int) -> HttpResponseBase:
    if number >= len(rendition):
        raise Http404
    found = fragments.segment(rendition, number)
    upload_counters.SENT.inc(found.size)
    release_connection()
    with as_unavailable():
        return ComposedResponse(partial(open_blob, blob), [found.head, *found.ranges], fragments.MEDIA_TYPE)


def _index_of(blob: Blob) -> Index:
    """The index of a file's content; NotStreamable with the reason if it cannot be played as it is."""
    require_whole(blob)
    try:
        with as_unavailable():
            return _indexes.get(blob.sha256, blob.size, lambda: _reader(blob))
    except Unsuitable as reason:
        raise NotStreamable(
            f"This file cannot be played as it is: {reason}. Download it, or transcode it."
        ) from reason


def _reader(blob: Blob) -> Read:
    def read(start: int, size: int) -> bytes:
        with open_blob(blob, start, start + size) as reader:
            return _read_all(reader.read, size)

    return read


def _read_all(read: Callable[[int], bytes], size: int) -> bytes:
    pieces = []
    while size and (piece := read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
