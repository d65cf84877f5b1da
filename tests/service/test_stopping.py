"""A server that is told to stop lets uploads and downloads come to their end, and waits for nobody else."""

import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.support.continue_client import PUT, WAYS, Client, length
from tests.support.films import sha256
from tests.support.running_servers import StartServer
from tests.support.server import Server
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


def stop(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)


def has_ended(server: Server, within: float) -> bool:
    assert server.process is not None
    try:
        server.process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


def refuses(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def receiving(server: Server) -> int:
    return len(server.get("/api/v1/uploads/?state=receiving", user="alice").json()["results"])


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_lets_an_upload_come_to_its_end(start_server: StartServer, film: Film, way: str) -> None:
    server = start_server()
    content = film()
    body, (request, *headers) = WAYS[way](content)
    with Client(server) as client:
        client.ask(request, *headers, body=body[:100_000])
        wait_until(lambda: receiving(server) == 1)
        stop(server)
        wait_until(lambda: refuses(server))
        time.sleep(0.5)
        client.wire.sendall(body[100_000:])
        answer = client.answer()
        assert (answer.status, answer.json()["sha256"]) == (201, sha256(content))
    assert has_ended(server, 20)
    assert [path.read_bytes() for path in server.stored_bytes()] == [content]


def test_a_stop_lets_a_download_come_to_its_end(start_server: StartServer, film: Film) -> None:
    server = start_server()
    content = film(16_000_000)
    file = server.put("film.mp4", content).json()
    with Client(server, buffer=16 * 1024) as client:
        client.ask(f"GET /api/v1/files/{file['id']}/content")
        wait_until(lambda: select.select([client.wire], [], [], 0)[0])
        stop(server)
        wait_until(lambda: refuses(server))
        assert client.answer().body == content
    assert has_ended(server, 20)


def test_a_stop_waits_no_longer_than_it_may(start_server: StartServer, film: Film) -> None:
    server = start_server(config="tests.support.gunicorn_configs.short_stop")
    with Client(server) as client, Client(server) as silent:
        client.ask(PUT, length(300_000), body=film()[:100_000])
        wait_until(lambda: receiving(server) == 1)
        began = time.monotonic()
        stop(server)
        assert has_ended(server, 20)
        assert 1.5 <= time.monotonic() - began < 20  # 2 s, and not the 30 that others have
        assert client.is_hung_up_on()
        assert silent.is_hung_up_on()
    assert not server.stored_bytes()


def test_a_stop_waits_for_nobody_who_is_not_heard(start_server: StartServer) -> None:
    server = start_server(UPLOAD_IDLE_TIMEOUT="5s")
    with Client(server), Client(server) as kept:
        assert kept.ask("GET /healthz").answer().status == 200
        stop(server)
        assert has_ended(server, 20)
