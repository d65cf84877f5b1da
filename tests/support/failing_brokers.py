"""Brokers and caches that fail: they lose what they hold for us, stop, freeze, and come back."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import redis
from kombu import Connection

from media_jobs.operations.base import LANES
from tests.support.free_ports import free_port
from tests.support.outside_services import REDIS_DATABASES
from tests.support.server import Server
from tests.support.shared_process import Facts
from tests.support.waiting import wait_until


def lose_everything(server: Server) -> None:
    """As if its disk had been replaced; nothing goes that others keep in the same Redis or RabbitMQ."""
    url = server.environment.get("BROKER_URL", "")
    if url.startswith("redis"):
        _lose_keys(url)
    elif url.startswith("amqp"):
        _lose_queues(url)
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


class OwnRedis:
    """A Redis of a test's own, to be stopped, frozen and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, databases: int = 16) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [program, *words, "--databases", str(databases)]
        self._process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    @classmethod
    def begin(cls) -> Facts:
        """Start one that several processes use: each home has a database of its own."""
        made = cls()
        made.start(REDIS_DATABASES)
        assert made._process is not None
        return {"port": made.port, "pid": made._process.pid}

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stored_keys(self) -> list[bytes]:
        with redis.Redis(port=self.port) as client:
            return cast(list[bytes], client.keys())

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    made = OwnRedis()
    made.start()
    try:
        yield made
    finally:
        made.stop()
