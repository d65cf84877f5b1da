"""The clip list of render's form: the files to choose from. Without scripts, the form has the clips as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from uploads.hooks import Panel
from uploads.models import MediaFile

from .. import permissions
from ..models import Artifact
from ..operations.base import Operation
from ..queue.previews import CAPTIONS, TRANSCRIBE

_NEWEST = 200  # files that are offered; others may be named by their ids
_KINDS = ("video", "image", "audio", "subtitle")
_IMAGE_SECONDS = 3  # how long an image is shown, at first, as in clip_list.js


def takes_clips(operation: Operation[Any]) -> bool:
    """Whether it makes one result of parts of several files."""
    return "clips" in operation.parameters.model_fields


def clips_of(files: Sequence[MediaFile]) -> list[dict[str, Any]]:
    """Each of these files as a whole, one after the other."""
    return [
        {"file": str(file.pk), **({"duration": _IMAGE_SECONDS} if file.blob.kind == "image" else {})}
        for file in files
    ]


@dataclass(frozen=True, slots=True)
class OfferedFile:
    pk: UUID
    kind: str
    label: str


def offered_files(
    user: User | AnonymousUser, operation: Operation[Any], files: Sequence[MediaFile]
) -> dict[str, object]:
    """The context of the form: the files of the page, their transcripts, and the newest that the account may use."""
    if not takes_clips(operation):
        return {}
    usable = permissions.usable_files(user).filter(kind__in=_KINDS).select_related("blob")
    newest = usable.order_by("-created_at", "-id")[:_NEWEST]
    of_files = Artifact.objects.filter(job__file__in=[file.pk for file in files])
    made = usable.filter(artifacts__in=of_files.filter(name=CAPTIONS, job__operation=TRANSCRIBE))
    offered = {file.pk: file for file in (*files, *made.order_by("-created_at", "-id"), *newest)}
    sources = _sources([file.pk for file in offered.values() if file.kind == "subtitle"])
    return {
        "clip_files": [OfferedFile(pk, file.kind, sources.get(pk, file.name)) for pk, file in offered.items()],
        "clip_main": files[0].pk if len(files) == 1 else "",
    }


def _sources(files: Sequence[UUID]) -> dict[UUID, str]:
    """Of which file those of these are that jobs made: many have the same name."""
    found = Artifact.objects.filter(file__in=files, job__file__isnull=False)
    rows = found.values_list("file", "name", "job__operation", "job__file__name")
    return {
        file: f"{'Transcript' if (operation, name) == (TRANSCRIBE, CAPTIONS) else name} of {source}"
        for file, name, operation, source in rows
    }


def marking_panel(request: HttpRequest, file: MediaFile) -> list[Panel]:
    """Below the player of a video: buttons that mark clips."""
    if file.blob.kind != "video" or not permissions.may_submit(request.user):
        return []
    return [Panel("admin/media_jobs/file/mark_clips.html", {"file": file}, place="player")]
