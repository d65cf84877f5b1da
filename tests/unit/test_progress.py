"""What the flusher knows of uploads without asking the database."""

import threading
import time
import uuid

from uploads.progress import Flusher


def test_the_next_request_of_an_upload_is_told_how_fast_it_has_been() -> None:
    flusher, upload_id = Flusher(), uuid.uuid4()
    flusher._thread = threading.current_thread()  # else it would start the one that writes
    assert flusher.watch(upload_id, lambda: 0) == 0
    time.sleep(0.05)
    flusher.leave(upload_id, 100_000_000, None)
    assert 5_000_000 < flusher.watch(upload_id, lambda: 100_000_000) < 100_000_000 / 0.05
    assert flusher.watch(uuid.uuid4(), lambda: 100_000_000) == 0
