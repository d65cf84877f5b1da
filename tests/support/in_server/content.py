"""Files and their bytes, looked at and changed in a server's Django. Tests run these by Server.call."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core import signing
from django.db.models.functions import Now

from media_jobs.models import Job
from uploads.maintenance import fsck
from uploads.maintenance.sweep import sweep
from uploads.models import Blob, MediaFile, SinkMark, Upload
from uploads.storage.files import delete_file
from uploads.storage.sidecars import write_changed
from uploads.storage.stores import sink, sinks
from uploads.storage.tombstones import remove_buried
from uploads.transfers.completion import fail_stalled


def key_of_file(pk: str) -> str:
    return MediaFile.objects.get(pk=pk).blob.key


def store_of(pk: str) -> str:
    return MediaFile.objects.get(pk=pk).blob.sink


def keys_of_stores() -> dict[str, dict[str, list[str]]]:
    """The committed keys of each store, as it lists them and as rows name them; without those of claims."""
    found = {}
    for place in sinks():
        blobs = Blob.objects.filter(sink=place.name)
        claimed = set(blobs.filter(state="storing").values_list("key", flat=True))
        there = {stored.key for stored in place.walk() if not stored.partial} - claimed
        named = blobs.exclude(state="storing").values_list("key", flat=True)
        found[place.name] = {"there": sorted(there), "in rows": sorted(named)}
    return found


def claims_of(store: str) -> list[str]:
    return list(Blob.objects.filter(sink=store, state="storing").values_list("key", flat=True))


def key_of_sha256(sha256: str) -> str:
    return Blob.objects.get(sha256=sha256).key


def backdate_files() -> None:
    """All files and contents came in 2020."""
    for model in (Blob, MediaFile):
        model.objects.update(created_at=datetime(2020, 1, 1, tzinfo=UTC))


def defects_while_a_file_is_deleted(pk: str) -> list[str]:
    """What fsck finds in the rows if another process deletes this file after its row was read, in batches of two."""
    fsck._BATCH = 2
    todo = [lambda: delete_file(MediaFile.objects.get(pk=pk))]

    def delete_once(_: Blob) -> None:
        if todo:
            thread = threading.Thread(target=todo.pop())  # which has its own connection
            thread.start()
            thread.join()

    return [finding.defect for finding in fsck.find_in_rows(sink(), deep=True, seen=delete_once)]


def forget_storage_identity() -> None:
    SinkMark.objects.all().delete()


def claim_key(key: str) -> None:
    """A claim as a process leaves it that died while it stored a file."""
    Blob.objects.create(sink=sink().name, key=key, sha256="0" * 64, size=9, media_type="video/mp4")


def claim_other_bytes_for_upload() -> None:
    """A claim of the key of the only upload, for bytes that are not there."""
    upload = Upload.objects.get(state="receiving")
    assert upload.declared_size is not None
    Blob.objects.create(
        sink=sink().name, key=upload.key, sha256="0" * 64, size=upload.declared_size, media_type="video/mp4"
    )


def delete_file_row(pk: str) -> None:
    """Take a file away without its bytes, and all jobs."""
    Job.objects.all().delete()
    MediaFile.objects.filter(pk=pk).delete()


def link_of_old_release(pk: str) -> str:
    """The signed part of a link that does not name the account that made it."""
    file = MediaFile.objects.get(pk=pk)
    return signing.dumps([file.pk.hex, file.link_epoch, int(time.time()) + 60], salt="millrace.link")


def sweep_without_grace() -> int:
    return sweep(sink(), grace=timedelta(0))


def sweep_for_ever() -> None:
    print("sweeping", flush=True)  # noqa: T201  # the test waits for it
    while True:
        sweep(sink())
        time.sleep(0.001)


def sweep_for_ever_without_grace() -> None:
    print("sweeping", flush=True)  # noqa: T201  # the test waits for it
    while True:
        sweep_without_grace()


def files_and_claims() -> dict[str, list[Any]]:
    return {
        "storing": list(Blob.objects.filter(state="storing").values_list("key", flat=True)),
        "files": sorted([f.name, str(f.pk), f.blob.sha256] for f in MediaFile.objects.select_related("blob")),
    }


def clean_up_hours_later() -> dict[str, Any]:
    """Run the chores as if hours had passed: no upload has a holder any more, and nothing is too young to be judged.

    Returns what is left.
    """
    Upload.objects.filter(state="receiving").update(heartbeat_at=Now() - timedelta(hours=2))
    fail_stalled()
    sweep_without_grace()
    write_changed(sink())
    remove_buried(sink())
    return {
        "keys": sorted(Blob.objects.values_list("key", flat=True)),
        "not stored": Blob.objects.exclude(state="stored").count(),
        "unused": Blob.objects.filter(files=None).count(),
        "receiving": Upload.objects.filter(state="receiving").count(),
        "reserved": Upload.objects.exclude(reserved=0).count(),
    }


def all_content() -> dict[str, Any]:
    blobs = list(Blob.objects.all())
    return {
        "contents": sorted(blob.sha256 for blob in blobs),
        "keys": sorted(blob.key for blob in blobs),
        "not stored": sum(blob.state != "stored" for blob in blobs),
        "unused": Blob.objects.filter(files=None).count(),
        "files": sorted(str(pk) for pk in MediaFile.objects.values_list("pk", flat=True)),
        "unfinished": Upload.objects.exclude(state="complete").count(),
    }
