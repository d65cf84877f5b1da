"""What a broker holds for us, taken from it: messages, queues, all of it."""

import shutil
from typing import Any, cast

from kombu import Connection

from media_jobs.operations.base import LANES
from tests.server import Server


def lose_everything(server: Server) -> None:
    """As if its disk had been replaced; nothing goes that others keep in the same Redis or RabbitMQ."""
    if server.broker_url.startswith("redis"):
        _lose_keys(server.broker_url)
    elif server.broker_url.startswith("amqp"):
        _lose_queues(server.broker_url)
    else:
        shutil.rmtree(server.home / "broker", ignore_errors=True)


def _lose_keys(url: str) -> None:
    with Connection(url) as connection:
        client = cast(Any, connection.default_channel).client
        ours = [key for name in (*LANES, "unacked") for key in client.scan_iter(f"*{name}*")]
        if ours:
            client.delete(*ours)


def _lose_queues(url: str) -> None:
    with Connection(url) as connection:
        for lane in LANES:
            cast(Any, connection.default_channel).queue_delete(lane)
