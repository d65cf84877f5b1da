"""The finds of `detect` on the page of a file: a time line below the player, and a table with a filter.

static/media_jobs/finds.js fills both. Each job has its own detectors: the page shows each detector's finds by the
newest job that had it, so that plates of one job and scenes of another are seen together.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from uploads.hooks import Panel
from uploads.models import MediaFile

from .. import permissions
from ..detection.onnx_models import OnnxDetector
from ..detection.registry import find_detector
from ..models import Artifact, Job
from ..queue.previews import DETECT
from ..queue.texts import DETECTIONS
from .transcript_panel import downloads

_FILES = (DETECTIONS, "detections.vtt", "detections.csv")
_JOBS = 20  # the newest: those before them are not looked at


@dataclass(frozen=True, slots=True)
class Found:
    """A job, and the detectors that no newer one has: their names, and what users call them."""

    job: Job
    detectors: dict[str, str]
    artifacts: dict[str, Artifact]


def finds_panels(request: HttpRequest, file: MediaFile) -> list[Panel]:
    """Also without finds, for those that a job makes while the page is shown."""
    if file.blob.kind not in {"video", "audio"}:
        return []
    found = list(_newest(request, file))
    detectors = {name: title for each in found for name, title in each.detectors.items()}
    version = " ".join(str(each.job.pk) for each in found) or "none"
    context = {
        "version": version,
        "detectors": detectors,
        "sources": json.dumps([_source(file, each) for each in found]),
        "jobs": [
            {
                "job": each.job,
                "titles": ", ".join(each.detectors.values()),
                "downloads": downloads(each.artifacts[name] for name in _FILES if name in each.artifacts),
            }
            for each in found
        ],
    }
    return [
        Panel("admin/media_jobs/file/find_lanes.html", context, place="player"),
        Panel("admin/media_jobs/file/finds.html", context),
    ]


def _source(file: MediaFile, found: Found) -> dict[str, object]:
    return {
        "url": reverse("file-preview", args=[file.pk, found.job.pk, DETECTIONS]),
        "detectors": [{"name": name, "title": title} for name, title in found.detectors.items()],
    }


def _newest(request: HttpRequest, file: MediaFile) -> Iterator[Found]:
    seen = set[str]()
    jobs = permissions.visible_jobs(request.user).filter(file=file, operation=DETECT, artifacts__name=DETECTIONS)
    for job in jobs.defer("command", "log").order_by("-created_at", "-id")[:_JOBS]:
        detectors = {name: _title(name) for name in job.params.get("detectors", ()) if name not in seen}
        if not detectors:
            continue
        artifacts = {made.name: made for made in permissions.visible_artifacts(request.user, job)}
        if DETECTIONS in artifacts:
            seen |= detectors.keys()
            yield Found(job, detectors, artifacts)


def _title(detector: str) -> str:
    """The name of an operator's model, as all have one title, and of a detector whose plug-in is gone."""
    found = find_detector(detector)
    return detector if found is None or isinstance(found, OnnxDetector) else found.title
