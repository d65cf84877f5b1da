"""The context of a job's page: timeline, parameters, artifacts and permitted actions."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse

from uploads.models import Blob, MediaFile, Transition
from uploads.text import client_metadata
from uploads.text.sizes import human_size

from .. import operations, permissions
from ..models import Artifact, Job
from ..queue.children import children_of
from . import job_cells
from .failure_advice import advice
from .job_actions import account

_RETRIABLE = {Job.Status.FAILED, Job.Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the timeline."""

    state: str
    label: str
    detail: str
    at: datetime
    after: str  # time since the previous entry


@dataclass(frozen=True, slots=True)
class Parameter:
    title: str
    description: str
    value: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class ShownArtifact:
    """An artifact with its size and download URL."""

    name: str
    file: MediaFile
    size: str
    url: str
    is_here: bool

    @classmethod
    def of(cls, artifact: Artifact) -> "ShownArtifact":
        file = artifact.file
        url = reverse("job-artifact", args=[artifact.job_id, artifact.name])
        is_here = file.blob.state == Blob.State.STORED
        return cls(artifact.name, file, human_size(file.blob.size), url, is_here)


def context(request: HttpRequest, job: Job) -> dict[str, Any]:
    user = account(request)
    waiting_reason = job_cells.waiting_reasons([job]).get(job.pk)
    return {
        "job": job,
        "title": f"{job_cells.title(job)}: {job_cells.subject(job)}",
        "operation": job_cells.title(job),
        "subject": job_cells.subject(job),
        "active": not job.is_finished,
        "progress": job_cells.progress(job),
        "message": job_cells.status_message(job, waiting_reason),
        "speed": job_cells.speed(job),
        "left": job_cells.left(job),
        "duration": job_cells.duration(job),
        "advice": advice(job),
        "steps": steps(job),
        "state_of_timeline": _state_of_timeline(job),
        "parameters": parameters(job),
        "metadata": client_metadata.in_words(job.metadata),
        "artifacts": [
            ShownArtifact.of(artifact) for artifact in permissions.visible_artifacts(user, job).order_by("name")
        ],
        "parts": children_of(job),
        "inputs": [item.file for item in job.inputs.select_related("file").order_by("number")],
        "allowed": allowed(user, job),
    }


def live(job: Job) -> dict[str, Any]:
    """Further values that change while the job runs. When `steps` has grown, job.js reloads parts of the page."""
    return {"command": job.command, "log": job.log, "steps": _state_of_timeline(job)}


def _state_of_timeline(job: Job) -> str:
    """Changes with each entry of the timeline, and whenever a worker takes or ends a part."""
    parts = [child.status for child in children_of(job)]
    return f"{Transition.history('job', job.pk).count()} {parts.count('running')} {parts.count('succeeded')}"


def steps(job: Job) -> list[Step]:
    labels = dict(Job.Status.choices)
    entries, before = [], None
    for change in Transition.history("job", job.pk):
        after = job_cells.time_between(before, change.created_at) if before else ""
        entries.append(
            Step(change.state, labels.get(change.state, change.state), change.detail, change.created_at, after)
        )
        before = change.created_at
    return entries


def parameters(job: Job) -> list[Parameter]:
    """In the order and with the titles of the form; only the names for an operation that no longer exists."""
    known = operations.registry.get(job.operation)
    described = operations.schema(known)["properties"] if known else {}
    # PostgreSQL does not keep the order of names in JSON.
    names = sorted(job.params, key=[*described, *job.params].index)
    return [_parameter(described.get(name, {}), name, job.params[name]) for name in names]


def _parameter(described: dict[str, Any], name: str, value: Any) -> Parameter:
    return Parameter(
        title=described.get("title", name),
        description=described.get("description", ""),
        value=in_words(value),
        is_default=value == described.get("default"),
    )


def in_words(value: Any) -> str:
    """The value of a parameter, for people."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def allowed(user: User, job: Job) -> dict[str, str]:
    """The URL of each action that the account may do and the state of the job allows."""
    page = ("admin:media_jobs_job_cancel", "admin:media_jobs_job_retry", "admin:media_jobs_job_delete")
    cancel, retry, delete = (reverse(name, args=[job.pk]) for name in page)
    found = {}
    if permissions.may(user, "change", job):
        if not job.is_finished and not job.cancel_asked:
            found["cancel"] = cancel
        if job.status in _RETRIABLE and job.file is not None:
            found["retry"] = retry
    if job.is_finished and permissions.may(user, "delete", job):
        found["delete"] = delete
    if job.file is not None and permissions.may_submit(user) and permissions.usable_files(user).contains(job.file):
        found["rerun"] = f"{_files()}{job.file.pk}/run/?{urlencode({'operation': job.operation, 'job': job.pk})}"
    return found


def _files() -> str:
    return reverse("admin:uploads_mediafile_changelist")
