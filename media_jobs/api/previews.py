"""files/ID/previews/: storyboards, waveforms, transcripts and finds of a file, for all who may view it.

Below a signed link, the pictures, and of transcripts the captions alone.
"""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from uploads.access import permissions, signed_links
from uploads.access.authentication import Scopes
from uploads.api.download import require_whole
from uploads.hooks import Previews
from uploads.models import MediaFile
from uploads.scopes import Scope
from uploads.storage.blobs import open_blob

from ..queue.previews import (
    CAPTIONS,
    DETECT,
    PICTURES,
    TRANSCRIBE,
    MadePreview,
    blob_of,
    captions_of,
    storyboard_of,
    waveform_of,
)
from .hls import send_content
from .hls_streams import Content
from .hls_transcripts import language_of


class PreviewView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str, job: UUID, name: str) -> HttpResponseBase:
        """A file of a storyboard, waveform, transcript or finds, such as `storyboard.vtt` or `detections.json`."""
        file = get_object_or_404(permissions.visible_files(request.user), pk=pk)
        return _preview(request._request, file, job, name, (*PICTURES, TRANSCRIBE, DETECT))


@require_safe
def link_preview(request: HttpRequest, token: str, job: UUID, name: str) -> HttpResponse | HttpResponseBase:
    """As PreviewView, for requests with a signed link."""
    operations = (*PICTURES, TRANSCRIBE) if name == CAPTIONS else PICTURES
    response = _preview(request, signed_links.resolve(token), job, name, operations)
    response["Referrer-Policy"] = "no-referrer"
    return response


def _preview(
    request: HttpRequest, file: MediaFile, job: UUID, name: str, operations: Sequence[str]
) -> HttpResponseBase:
    blob = blob_of(file, job, name, operations) if "\0" not in name else None  # PostgreSQL refuses NUL
    if blob is None:
        raise Http404
    require_whole(blob)
    return send_content(request, Content(blob.sha256, partial(open_blob, blob), [(0, blob.size)], blob.media_type))


def previews(file: MediaFile, link: str) -> Previews:
    """The hook player_previews."""
    captions = captions_of(file)
    return Previews(
        storyboard=_url(file, link, storyboard_of(file)),
        waveform=_url(file, link, waveform_of(file)),
        captions=_url(file, link, captions),
        captions_language=language_of(file, captions.job) if captions else "",
    )


def _url(file: MediaFile, link: str, made: MadePreview | None) -> str:
    if made is None:
        return ""
    below = ("link-preview", link) if link else ("file-preview", file.pk)
    return reverse(below[0], args=[below[1], made.job, made.name])
