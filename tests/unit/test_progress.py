"""What the flusher knows of uploads without asking the database."""

import threading
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from uploads.progress import Flusher


def test_the_next_request_of_an_upload_is_told_how_fast_it_has_been() -> None:
    flusher, upload_id = Flusher(), uuid.uuid4()
    flusher._thread = threading.current_thread()  # else it would start the one that writes
    assert flusher.watch(upload_id, lambda: 0) == 0
    time.sleep(0.05)
    flusher.leave(upload_id, 100_000_000, None)
    assert 5_000_000 < flusher.watch(upload_id, lambda: 100_000_000) < 100_000_000 / 0.05
    assert flusher.watch(uuid.uuid4(), lambda: 100_000_000) == 0


def test_progress_is_written_as_often_as_the_setting_says(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flusher, upload_id, pauses = Flusher(), uuid.uuid4(), list[float]()
    settings.UPLOADS = replace(settings.UPLOADS, progress_interval=0.125)
    monkeypatch.setattr("uploads.progress.time.sleep", pauses.append)
    monkeypatch.setattr(flusher, "flush", lambda: flusher.unwatch(upload_id))
    flusher._thread = threading.current_thread()
    flusher.watch(upload_id, lambda: 0)
    flusher._run()
    assert pauses == [0.125]


def test_an_upload_whose_offset_cannot_be_read_does_not_end_the_flusher() -> None:
    flusher, offsets = Flusher(), iter([0])
    flusher._thread = threading.current_thread()
    flusher.watch(uuid.uuid4(), lambda: next(offsets))
    flusher.flush()


def test_where_no_thread_can_be_started_the_next_upload_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    flusher = Flusher()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError):
            flusher.watch(uuid.uuid4(), lambda: 0)
    upload_id = uuid.uuid4()
    flusher.watch(upload_id, lambda: 0)
    assert flusher._thread is not None
    assert flusher._thread.is_alive()
    flusher.unwatch(upload_id)


def no_more_threads(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
