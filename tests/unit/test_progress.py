"""What the flusher knows of uploads without asking the database."""

import threading
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from uploads.transfers.progress import Flusher, ProgressLines


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
    monkeypatch.setattr("uploads.transfers.progress.time.sleep", pauses.append)
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


def lines_of(size: int | None) -> ProgressLines:
    return ProgressLines(uuid.uuid4(), size, "a-request", offset=0, at=0.0)


def due(lines: ProgressLines, offset: int, now: float) -> list[Any]:
    with capture_logs() as said:
        lines.log_if_due(offset, now, speed=2.5e6)
    return said


def test_a_long_upload_has_a_line_after_a_tenth_and_a_minute_whichever_is_rarer() -> None:
    slow = lines_of(1000)
    assert [now for now in range(0, 6001, 10) if due(slow, now // 10, now)] == [*range(1000, 6001, 1000)]
    quick = lines_of(1000)
    assert [now for now in range(0, 101, 10) if due(quick, now * 10, now)] == [60]
    endless = lines_of(None)
    assert [now for now in range(0, 201, 10) if due(endless, 1, now)] == [60, 120, 180]


def test_a_line_of_a_long_upload_tells_how_far_it_is_and_of_which_request() -> None:
    lines = lines_of(1000)
    [said] = due(lines, 250, 61)
    assert said == {
        "event": "upload_progress", "log_level": "info", "upload": str(lines.upload_id), "offset": 250, "size": 1000,
        "percent": 25, "megabytes_per_second": 2.5, "request_id": "a-request",
    }  # fmt: skip


def test_an_upload_in_many_pieces_has_the_lines_of_one() -> None:
    flusher, upload_id = Flusher(), uuid.uuid4()
    flusher._thread = threading.current_thread()
    flusher.watch(upload_id, lambda: 0, None, 1000)
    flusher._watched[upload_id].lines.at -= 50
    flusher.leave(upload_id, 200, None)
    flusher.watch(upload_id, lambda: 200, None, 1000)
    item = flusher._watched[upload_id]
    with capture_logs() as said:
        item.measure(time.monotonic())
        assert said == []
        item.measure(time.monotonic() + 30)
    assert [(line["event"], line["offset"]) for line in said] == [("upload_progress", 200)]
