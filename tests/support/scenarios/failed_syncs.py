"""What becomes of bytes whose sync failed once. Run with sync_fault.c preloaded."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uploads.sinks.base import SinkError
from uploads.sinks.local.sink import LocalSink
from uploads.sinks.local.writeback import WINDOW

KEY = "0b5c6c1e-0000-4000-8000-000000000001"
_PIECE = os.urandom(1024**2)


def fail(function: str, count: int, folder: Path) -> None:
    """The count-th of these calls from now on."""
    Path(os.environ["SYNC_FAULT"]).write_text(f"{function} {count} {folder}")


def has_failed() -> bool:
    return not Path(os.environ["SYNC_FAULT"]).exists()


def one_shot(folder: str, function: str, count: int) -> dict[str, Any]:
    """A write of three windows, and a commit whatever happened before."""
    sink = LocalSink(Path(folder))
    fail(function, count, sink.root)
    writer = sink.create(KEY)
    writing = _tried(lambda: [writer.write(_PIECE) for _ in range(3 * WINDOW // len(_PIECE))])
    committing = _tried(writer.commit)
    writer.close()
    return {
        "writing": writing,
        "committing": committing,
        "failed": has_failed(),
        "stored": sink.size(KEY),
        "left": _files(sink),
    }


def resumable(folder: str, function: str, count: int) -> dict[str, Any]:
    """A turn that succeeds, and one during which a sync fails. The turns after it see an innocent disk."""
    sink = LocalSink(Path(folder))
    with sink.create_resumable(KEY) as writer:
        writer.write(_PIECE)
        writer.save_checkpoint("a hash of the first turn")
    fail(function, count, sink.root)
    writer = sink.resume(KEY)
    writing = _tried(lambda: [writer.write(_PIECE) for _ in range(3 * WINDOW // len(_PIECE))])
    committing = _tried(writer.commit)
    writer.close()
    return {
        "writing": writing, "committing": committing, "failed": has_failed(), "stored": sink.size(KEY),
        "offset": sink.offset(KEY), "noted": sink.read_checkpoint(KEY), "again": _tried(sink.resume(KEY).commit),
    }  # fmt: skip


def turns(folder: str) -> dict[str, Any]:
    """What is left behind by a turn that is not the last, and by one whose process was killed."""
    sink = LocalSink(Path(folder))
    writer = sink.create_resumable(KEY)
    writer.write(_PIECE[:100_000])
    writer.flush()
    fail("sync_file_range", 1, sink.root)
    writer.write(_PIECE[:100_000])
    flushing = _tried(writer.flush)
    writer.close()
    kept = sink.offset(KEY)
    if os.fork() == 0:
        killed = sink.resume(KEY)
        killed.write(_PIECE[:100_000])
        os._exit(0)
    os.wait()
    fail("sync_file_range", 1, sink.root)
    resuming = _tried(lambda: sink.resume(KEY))
    return {"flushing": flushing, "kept": kept, "resuming": resuming, "after": sink.resume(KEY).offset}


def folders(folder: str) -> dict[str, Any]:
    """The first attempt cannot sync the name of a new folder. The second syncs it, and then the name of the file."""
    sink = LocalSink(Path(folder))
    first = sink.create(KEY)
    first.write(b"bytes")
    fail("fsync", 1, sink.root)
    committing = _tried(first.commit)
    first.close()
    again = sink.create(KEY)
    again.write(b"bytes")
    fail("fsync", 2, sink.root)
    return {"committing": committing, "again": _tried(again.commit), "failed": has_failed()}


def ingested(film: str) -> dict[str, Any]:
    """By a copy and by a link: refused, with nothing left behind; and taken in when the disk is well."""
    from django.contrib.auth.models import User

    from uploads.errors import Refusal
    from uploads.models import Blob, MediaFile
    from uploads.storage.stores import sink
    from uploads.transfers.ingest.files import Mode, ingest_file

    path, owner, place = Path(film), User.objects.get(username="alice"), sink()
    assert isinstance(place, LocalSink)
    seen: dict[str, Any] = {}
    for mode, folder in ((Mode.COPY, place.root), (Mode.LINK, path)):
        fail("fdatasync", 1, folder)
        code = ""
        try:
            ingest_file(path, owner, mode, lambda _: None)
        except Refusal as refusal:
            code = refusal.code
        seen[mode] = [code, has_failed(), Blob.objects.count(), MediaFile.objects.count(), _files(place)]
    ingest_file(path, owner, Mode.LINK, lambda _: None)
    return dict(**seen, at_last=[Blob.objects.count(), MediaFile.objects.count()])


def job(film: str, function: str) -> dict[str, Any]:
    """A job whose result cannot be synced once, and its second attempt."""
    from django.conf import settings
    from django.contrib.auth.models import User

    from media_jobs.models import Job
    from media_jobs.queue import leases
    from media_jobs.queue.submission import Order, submit
    from media_jobs.worker.attempt import run_job
    from media_jobs.worker.slot import Slot, equipment
    from uploads.transfers.ingest.files import Mode, ingest_file

    owner = User.objects.get(username="alice")
    file, _ = ingest_file(Path(film), owner, Mode.COPY, lambda _: None)
    Job.objects.all().delete()  # those that begin by themselves
    made, _ = submit(Order.parse(owner, "thumbnail", file=file))
    slot = Slot("quick", equipment().binary.build, {})
    fail(function, 1, settings.JOBS.work_root)
    seen = []
    for _ in range(2):
        Job.objects.update(not_before=None)
        lease = leases.claim(slot.worker)
        assert lease is not None
        run_job(lease, slot)
        made.refresh_from_db()
        seen.append([made.status, made.attempts, made.message, made.artifacts.count(), has_failed()])
    return {"attempts": seen}


def _tried(deed: Callable[[], object]) -> str:
    try:
        deed()
    except SinkError:
        return "refused"
    return "done"


def _files(place: LocalSink) -> list[str]:
    return sorted(path.name for path in place.root.rglob("*") if path.is_file() and not path.name.startswith("."))
