"""The progress of uploads, as the API shows it."""

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.support.server import Server
from tests.support.slow_uploads import ended, slow_put, uploads, wait_for_offset
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


def test_progress_is_seen_while_a_slow_upload_runs(shared_server: Server, film: Film) -> None:
    data, key = film(1_000_000), "progress-1"
    seen: list[dict[str, Any]] = []
    with slow_put(shared_server, data, 100_000, Idempotency_Key=key) as wire:
        wait_until(lambda: uploads(shared_server, key))
        for sent in range(100_000, 1_000_000, 300_000):
            wait_for_offset(shared_server, key, sent - 70_000)  # pieces on their way apart
            seen += uploads(shared_server, key)
            wire.sendall(data[sent : sent + 300_000])
        status, file = ended(wire)
    assert status == 201
    offsets = [upload["offset"] for upload in seen]
    assert offsets == sorted(set(offsets))  # it grew, each time
    assert all(0 < upload["progress"] < 1 for upload in seen)
    assert {upload["state"] for upload in seen} == {"receiving"}
    assert re.fullmatch(r"Uploading: \d+\.\d KB \(\d+ %\) at \S+ \w+/s(, .+ left)?", seen[-1]["message"])
    assert (seen[-1]["size"], seen[-1]["name"], seen[-1]["protocol"]) == (1_000_000, "slow.mp4", "put")

    (done,) = uploads(shared_server, key)
    assert (done["state"], done["progress"], done["offset"]) == ("complete", 1.0, 1_000_000)
    assert (done["message"], done["file"], done["error"]) == ("Complete: 1.0 MB", file["id"], None)


def test_each_upload_shows_its_own_progress(shared_server: Server, film: Film) -> None:
    little = slow_put(shared_server, film(500_000), 150_000, Idempotency_Key="progress-little")
    much = slow_put(shared_server, film(500_000), 400_000, Idempotency_Key="progress-much")
    with little, much:
        for key, sent in ("progress-little", 150_000), ("progress-much", 400_000):
            wait_until(partial(uploads, shared_server, key))
            wait_for_offset(shared_server, key, sent - 70_000)
        assert uploads(shared_server, "progress-little")[0]["offset"] <= 150_000


def test_an_upload_of_unknown_size_shows_how_much_has_come(shared_server: Server, film: Film) -> None:
    data, key, go_on = film(400_000), "progress-2", threading.Event()

    def pieces() -> Iterator[bytes]:
        yield data[:200_000]
        assert go_on.wait(20)
        yield data[200_000:]

    client = threading.Thread(
        target=lambda: shared_server.put("chunked.mp4", pieces(), {"Idempotency-Key": key}, chunked=True)
    )
    client.start()
    try:
        wait_until(lambda: (found := uploads(shared_server, key)) and found[0]["offset"] > 0)
        (upload,) = uploads(shared_server, key)
        assert (upload["size"], upload["progress"], upload["eta_seconds"]) == (None, None, None)
        assert re.fullmatch(r"Uploading: \d+\.\d KB at \S+ \w+/s", upload["message"])
    finally:
        go_on.set()
        client.join()
    assert uploads(shared_server, key)[0]["size"] == 400_000


def test_an_upload_that_was_broken_off_says_why(shared_server: Server, film: Film) -> None:
    with slow_put(shared_server, film(500_000), 200_000, Idempotency_Key="progress-3"):
        wait_until(lambda: uploads(shared_server, "progress-3"))
    wait_until(lambda: uploads(shared_server, "progress-3")[0]["state"] == "failed")
    (upload,) = uploads(shared_server, "progress-3")
    assert upload["error"]["code"] == "incomplete_body"
    assert upload["message"] == upload["error"]["detail"] == "The body has 200,000 bytes, but 500,000 were announced."
