"""Rows for the pages of the admin, made in a server's Django. Tests run these by Server.call."""

from typing import Any

from django.apps import apps
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from media_jobs.models import Batch, BatchItem, Job, ModelEndpoint, Preset, Worker
from uploads.models import Blob, MediaFile, Token, Upload
from uploads.storage.stores import sink

_UNTOUCHED_BY_PAGES = {"sessions.Session", "auth.User", "media_jobs.Worker"}


def make_one_of_each(name: str) -> dict[str, Any]:
    """One row of everything that has a page, with this hostile name. Returns the part of the address of each."""
    alice, now = User.objects.get(username="alice"), timezone.now()
    blob = Blob.objects.create(
        sink=sink().name, key="k", sha256="a" * 64, size=9, state="missing", kind="video", media_type="video/mp4"
    )
    file = MediaFile.objects.create(owner=alice, name=name, blob=blob)
    upload = Upload.objects.create(
        owner=alice, name=name, protocol="tus", sink=sink().name, declared_size=9, expires_at=now
    )
    texts: dict[str, Any] = dict.fromkeys(["error_detail", "message", "log", "command"], name)
    states: list[dict[str, Any]] = [
        {"status": "queued", "queued_at": now},
        {"status": "failed", "error_code": "x", "finished_at": now, **texts},
    ]
    common: dict[str, Any] = {
        "owner": alice, "operation": "transcode", "version": 1, "file": file, "lane": "heavy"
    }  # fmt: skip
    jobs = [Job.objects.create(**common, **more) for more in states]
    worker = Worker.objects.create(lane="heavy", host=name, pid=1, seen_at=now, heard_at=now)
    batch = Batch.objects.create(owner=alice, operation="transcode", preset=name[:64], total=1)
    BatchItem.objects.create(batch=batch, number=1, file=file, note=name)
    preset = Preset.objects.create(name=name, operation="thumbnail")
    model_server = ModelEndpoint.objects.create(name="birds", title=name, url="http://birds.invalid/", reason=name)
    return {
        "uploads/mediafile": str(file.pk), "uploads/upload": str(upload.pk), "media_jobs/job": str(jobs[1].pk),
        "media_jobs/worker": str(worker.pk), "media_jobs/lane": "heavy",
        "media_jobs/batch": str(batch.pk),
        "media_jobs/preset": str(preset.pk),
        "media_jobs/modelendpoint": str(model_server.pk),
        "uploads/token": Token.objects.values_list("pk", flat=True)[0], "auth/user": str(alice.pk),
        "auth/group": str(Group.objects.values_list("pk", flat=True)[0]),
    }  # fmt: skip


def all_rows() -> list[str]:
    """Everything that a POST could change."""
    models = sorted(apps.get_models(), key=lambda model: model._meta.label)
    return [
        f"{model._meta.label} {sorted(map(str, model._default_manager.values_list()))}"
        for model in models
        if model._meta.label not in _UNTOUCHED_BY_PAGES
    ]


def make_many_files(number: int, name: str) -> str:
    """Files of a new superuser. Returns the key of a session of that account."""
    root = User.objects.create_superuser("root")
    blob = Blob.objects.create(sink=sink().name, key="0" * 36, sha256="0" * 64, size=7, state="stored", kind="video")
    MediaFile.objects.bulk_create(
        MediaFile(owner=root, blob=blob, name=name, kind="video", size=7, origin="upload") for _ in range(number)
    )
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = root.pk, root.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "config.login.ThrottledBackend"
    session.save()
    return str(session.session_key)
