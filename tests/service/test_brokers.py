"""What a broker must do for us, the same for each: say that a lane has work, and be forgiven when it does not."""

import socket
import time
from datetime import datetime

import pytest

from tests.support.failing_brokers import lose_everything
from tests.support.films import different_copy
from tests.support.in_server import jobs
from tests.support.running_servers import StartServer
from tests.support.server import Server, query
from tests.support.waiting import wait_until

REDIS, RABBITMQ = "redis://127.0.0.1:6379/9", "amqp://guest:guest@127.0.0.1:5672//"


@pytest.mark.parametrize("broker_url", ["", REDIS, RABBITMQ], ids=["files", "Redis", "RabbitMQ"])
def test_jobs_start_at_once_and_even_when_the_broker_loses_everything(
    broker_url: str, start_server: StartServer, clip: bytes
) -> None:
    require(broker_url)
    server = start_server(broker_url=broker_url)
    server.run_beside("worker", "--lane", "quick")
    wait_until(lambda: query(server, "SELECT 1 FROM media_jobs_worker"), 90)
    waits = [inspected(server, clip) for _ in range(5)]
    # Each was told of by a message: without, and without housekeeping, nobody would have looked.
    assert min(waits) < 3

    server.run_beside("housekeeping")
    lose_everything(server)
    inspected(server, clip)


def test_a_broker_that_is_not_there_fails_no_upload_and_holds_none_up(start_server: StartServer, clip: bytes) -> None:
    server = start_server(broker_url="redis://127.0.0.1:1/0")
    server.call(jobs.make_worker_row, "quick", "gone", minutes_ago=0)
    began = time.monotonic()
    for number in range(3):
        assert server.put(f"{number}.mp4", different_copy(clip)).status == 201
    assert query(server, "SELECT count(*) FROM media_jobs_job WHERE status = 'queued'") == [(3,)]
    # And then it is left alone for five seconds.
    assert 1 <= server.log.count("broker_unreachable") <= 1 + (time.monotonic() - began) // 5


def require(broker_url: str) -> None:
    for url, port, name in ((REDIS, 6379, "Redis"), (RABBITMQ, 5672, "RabbitMQ")):
        if broker_url == url and socket.socket().connect_ex(("127.0.0.1", port)):
            pytest.skip(f"{name} does not answer on its port {port}")


def inspected(server: Server, clip: bytes) -> float:
    """Upload a film that nobody has seen, and wait until it was inspected. Answers how long it waited for that."""
    file = server.put("a.mp4", different_copy(clip)).json()["id"]
    wait_until(lambda: server.get(f"/api/v1/files/{file}/", user="alice").json()["facts"], 60)
    [job] = server.get(f"/api/v1/jobs/?file={file}", user="alice").json()["results"]
    created, started = (datetime.fromisoformat(job[moment]) for moment in ("created_at", "started_at"))
    return (started - created).total_seconds()
