"""Messages in files, as config.celery has them sent and taken."""

import multiprocessing
import time
from pathlib import Path

from kombu import Connection
from kombu.simple import SimpleQueue

from config import celery
from config.backends.file_broker import Transport

MESSAGES = 1000


def _queue(folder: str, name: str = "quick") -> SimpleQueue:
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"}
    return Connection("filesystem://", transport_options=options).SimpleQueue(name)


def _send(folder: str) -> None:
    queue = _queue(folder)
    for _ in range(MESSAGES):
        queue.put({"lane": "quick"})
        time.sleep(0.0005)


def test_celery_takes_messages_by_our_transport() -> None:
    with celery.app.connection() as connection:
        assert connection.transport_cls == "filesystem"
        assert isinstance(connection.transport, Transport)


def test_a_message_is_whole_as_soon_as_it_can_be_seen(tmp_path: Path) -> None:
    """With kombu's own transport, one in four hundred is taken while it is still empty."""
    (tmp_path / "control").mkdir()
    sender = multiprocessing.get_context("spawn").Process(target=_send, args=(str(tmp_path),))
    sender.start()
    queue, taken, is_over = _queue(str(tmp_path)), 0, False
    while not is_over:
        has_ended = not sender.is_alive()
        try:
            queue.get(block=False).ack()
            taken += 1
        except queue.Empty:
            is_over = has_ended
    assert taken == MESSAGES


def test_a_table_of_queues_that_a_full_disk_left_empty_is_written_anew(tmp_path: Path) -> None:
    """With kombu's own transport, nobody can send or take a message ever after."""
    (tmp_path / "control").mkdir()
    left = tmp_path / "control" / "bulk.exchange"
    left.touch()
    queue = _queue(str(tmp_path), "bulk")  # another than above: a process remembers what it has written
    queue.put({"lane": "bulk"})
    queue.get(timeout=5).ack()
    assert left.stat().st_size
