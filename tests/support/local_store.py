"""A store of a test's own, used in this process: content comes into it by the same way as that of every upload."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from media_jobs.models import Job
from tests.support import outside_services
from tests.support.object_store import ObjectStore
from uploads.content.intake import Intake
from uploads.models import Blob, MediaFile, SidecarChange, Tombstone, Transition, Upload
from uploads.sinks.base import Quarantined, Sink
from uploads.sinks.local.sink import LocalSink
from uploads.sinks.s3.bucket import MARKER
from uploads.sinks.s3.sink import S3Sink
from uploads.storage.blobs import new_key, store
from uploads.storage.files import create_file
from uploads.storage.marker import claim_store
from uploads.storage.stores import sink, sinks

Film = Callable[..., bytes]


def own_store(settings: Any, root: Path) -> Sink:
    """Empty, and marked as this database's. A bucket, if the test run has its files in S3; else a disk."""
    if outside_services.store is not None:
        return own_bucket(settings, outside_services.store)
    return own_disk(settings, root)


def own_disk(settings: Any, root: Path) -> LocalSink:
    """As `own_store`, always a disk."""
    settings.UPLOADS = replace(settings.UPLOADS, media_root=root)
    place = sink()
    assert isinstance(place, LocalSink)
    claim_store(place)
    return place


def own_bucket(settings: Any, store: ObjectStore, url: str = "") -> S3Sink:
    """As `own_store`, always a bucket. `url`: where the store is reached, if not at its own address."""
    entry = store.storage(store.make_bucket(), "media")
    entry["OPTIONS"]["endpoint_url"] = url or store.url
    settings.STORAGES = settings.STORAGES | {"millrace": entry}
    place = sink()
    assert isinstance(place, S3Sink)
    claim_store(place)
    return place


def former_bucket(settings: Any, store: ObjectStore) -> S3Sink:
    """A bucket that took new bytes before the store that takes them now."""
    entry = store.storage(store.make_bucket(), "media")
    settings.STORAGES = settings.STORAGES | {"millrace-former": entry}
    _, former = sinks()
    assert isinstance(former, S3Sink)
    claim_store(former)
    return former


def an_owner(name: str = "") -> User:
    return User.objects.create(username=name or uuid.uuid4().hex)


def upload(owner: User, content: bytes, name: str = "film.mp4") -> MediaFile:
    with sink().create(new_key(), size=len(content)) as writer:
        intake = Intake(writer, grow=int, granted=len(content))
        intake.feed(content)
        return store(writer, intake.finish(), lambda blob: create_file(owner.pk, name, blob, MediaFile.Origin.UPLOAD))


def lose_rows(*, accounts: bool = False) -> None:
    """All that speak of files, as a new database has none."""
    for model in (Job, Transition, Upload, MediaFile, Blob, SidecarChange, Tombstone):
        model.objects.all().delete()
    if accounts:
        User.objects.all().delete()


def lose_file(file: MediaFile) -> None:
    """Its row alone, as an older database has none."""
    Job.objects.filter(file=file).delete()
    MediaFile.objects.filter(pk=file.pk).delete()


def lose_marker(place: Sink) -> None:
    if isinstance(place, S3Sink):
        place.bucket.delete(MARKER)
    else:
        assert isinstance(place, LocalSink)
        place.layout.marker.unlink()


def quarantine_long_ago(place: Sink, key: str, since: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move what is stored under the key, as if that had been done then."""
    entry = Quarantined(key, 0, "unknown", since)
    with monkeypatch.context() as then:
        then.setattr(Quarantined, "name", entry.name)
        place.quarantine.put(key, "unknown")


def stored_keys(place: Sink) -> set[str]:
    return {stored.key for stored in place.walk()}


def quarantined_keys(place: Sink) -> set[str]:
    return {found.key for found in place.quarantine.entries()}
