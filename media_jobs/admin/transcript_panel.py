"""The newest transcript on the page of a file. static/media_jobs/transcript.js shows it, and follows the player."""

from collections.abc import Iterable

from django.http import HttpRequest
from django.urls import reverse

from uploads.hooks import Panel
from uploads.models import MediaFile

from .. import permissions
from ..models import Artifact
from ..queue.previews import transcript_of

_FILES = ("transcript.txt", "transcript.srt", "transcript.vtt", "transcript.json")


def transcript_panel(request: HttpRequest, file: MediaFile) -> list[Panel]:
    """Also without a transcript, for one that a job makes while the page is shown."""
    if file.blob.kind not in {"video", "audio"}:
        return []
    return [Panel("admin/media_jobs/file/transcript.html", _newest(request, file))]


def _newest(request: HttpRequest, file: MediaFile) -> dict[str, object]:
    made = transcript_of(file)
    job = permissions.visible_jobs(request.user).filter(pk=made.job).first() if made else None
    if made is None or job is None:
        return {}
    artifacts = {artifact.name: artifact for artifact in permissions.visible_artifacts(request.user, job)}
    if made.name not in artifacts:
        return {}
    return {
        "job": job,
        "url": reverse("file-preview", args=[file.pk, made.job, made.name]),
        "downloads": downloads(artifacts[name] for name in _FILES if name in artifacts),
    }


def downloads(artifacts: Iterable[Artifact]) -> list[tuple[str, str]]:
    """The format of each, and its URL."""
    return [
        (artifact.name.rpartition(".")[2].upper(), reverse("file-content", args=[artifact.file_id]) + "?download")
        for artifact in artifacts
    ]
