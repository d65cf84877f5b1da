"""The clip list of render's form: the files to choose from. Without scripts, the form has the clips as JSON."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from uploads.hooks import Panel
from uploads.models import MediaFile

from .. import permissions
from ..operations.base import Operation

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


def offered_files(
    user: User | AnonymousUser, operation: Operation[Any], files: Sequence[MediaFile]
) -> dict[str, object]:
    """The context of the form: the files of the page, and the newest that the account may use."""
    if not takes_clips(operation):
        return {}
    usable = permissions.usable_files(user).filter(kind__in=_KINDS).select_related("blob")
    newest = usable.order_by("-created_at", "-id")[:_NEWEST]
    offered = {file.pk: file for file in (*files, *newest)}
    return {"clip_files": list(offered.values()), "clip_main": files[0].pk if len(files) == 1 else ""}


def marking_panel(request: HttpRequest, file: MediaFile) -> list[Panel]:
    """Below the player of a video: buttons that mark clips."""
    if file.blob.kind != "video" or not permissions.may_submit(request.user):
        return []
    return [Panel("admin/media_jobs/file/mark_clips.html", {"file": file}, place="player")]
