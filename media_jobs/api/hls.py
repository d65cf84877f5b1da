"""files/ID/hls/: play a video as HLS, from ranges of the file itself and from renditions that jobs have made.

Below a signed link the same addresses work without an account.
"""

import hashlib
import re
from uuid import UUID

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
from uploads.api.download import as_unavailable
from uploads.http.composed_response import ComposedResponse
from uploads.models import MediaFile
from uploads.runtime.database_connections import release_connection
from uploads.scopes import Scope
from uploads.transfers import upload_counters

from ..hls import playlists
from .hls_streams import (
    Content,
    film_seconds,
    find_stream,
    master_playlist,
    subtitles_content,
    subtitles_playlist,
)
from .hls_transcripts import listed_transcript, transcript_lengths, transcript_segment

_NAME = re.compile(r"(?P<of>video|audio\d{1,2}|\d{1,4}p)(?P<rest>\.m3u8|/init\.mp4|/(?P<segment>\d{1,6})\.m4s)")
_SUBTITLES = re.compile(r"(?P<of>subtitles\d{1,2})(?P<rest>\.m3u8|/0\.vtt)")
_TRANSCRIPT = re.compile(
    r"(?P<of>transcript-(?P<job>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}))(\.m3u8|/(?P<segment>\d{1,4})\.vtt)"
)
# Counts up when the bytes of an answer change, as clients keep them by their ETag.
_VERSION = 2


class HlsView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str, name: str) -> HttpResponseBase:
        """Playlists, init segments and segments of a video: begin with `master.m3u8`."""
        file = get_object_or_404(permissions.visible_files(request.user), pk=pk)
        return hls_response(request._request, file, name)


@require_safe
def link_hls(request: HttpRequest, token: str, name: str) -> HttpResponseBase:
    """As HlsView, for requests with a signed link."""
    response = hls_response(request, signed_links.resolve(token), name)
    response["Referrer-Policy"] = "no-referrer"
    return response


def hls_response(request: HttpRequest, file: MediaFile, name: str) -> HttpResponseBase:
    if name == "master.m3u8":
        return _playlist(request, master_playlist(file, listed_transcript(file)))
    if transcript := _TRANSCRIPT.fullmatch(name):
        return _transcript(request, file, transcript)
    if subtitles := _SUBTITLES.fullmatch(name):
        if subtitles["rest"] == ".m3u8":
            return _playlist(request, subtitles_playlist(file, subtitles["of"]))
        return send_content(request, subtitles_content(file, subtitles["of"]))
    wanted = _NAME.fullmatch(name)
    if wanted is None:
        raise Http404
    stream = find_stream(file, wanted["of"])
    if wanted["rest"] == ".m3u8":
        return _playlist(request, playlists.media(stream.listed))
    number = wanted["segment"]
    return send_content(request, stream.init() if number is None else stream.segment(int(number)))


def _transcript(request: HttpRequest, file: MediaFile, wanted: re.Match[str]) -> HttpResponseBase:
    job, number = UUID(wanted["job"]), wanted["segment"]
    if number is None:
        lengths = transcript_lengths(file, job, film_seconds(file))
        return _playlist(request, playlists.subtitles_media(wanted["of"], lengths))
    return send_content(request, transcript_segment(file, job, int(number)))


def _playlist(request: HttpRequest, text: str) -> HttpResponseBase:
    etag = f'"{_VERSION}-{hashlib.sha256(text.encode()).hexdigest()}"'
    response = get_conditional_response(request, etag=etag) or HttpResponse(text, content_type=playlists.MEDIA_TYPE)
    return _with_headers(response, etag)


def send_content(request: HttpRequest, content: Content) -> HttpResponseBase:
    etag = f'"{_VERSION}-{content.etag}"'
    if (unchanged := get_conditional_response(request, etag=etag)) is not None:
        return _with_headers(unchanged, etag)
    upload_counters.SENT.inc(content.size)
    release_connection()
    with as_unavailable():
        return _with_headers(ComposedResponse(content.open_range, content.parts, content.media_type), etag)


def _with_headers(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Cookie"
    response["X-Content-Type-Options"] = "nosniff"
    return response
