"""Several web processes that share a port: to clients and to Prometheus they are one server."""

import http.client
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.local_store import Film
from tests.support.processes import kill
from tests.support.server import Answer, Server, Template
from tests.support.tus_client import Client
from tests.support.waiting import wait_until
from tests.support.web_processes import ask, connected, serving, web_processes

A_MINUTE = 40  # requests of one account
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes on SQLite, without Redis. By a program, not in a fork: what counts is chosen at an import."""
    home = tmp_path_factory.mktemp("processes") / "home"
    settings = {"WEB_PROCESSES": "2", "THROTTLE_USER": f"{A_MINUTE}/min", "THREADS": "20"}
    made = Server(home, template.tokens, template.copy_to(home), settings, wrapper=["env"])
    try:
        made.start()
        wait_until(lambda: len(web_processes(made.pid)) == 2)
        yield made
    finally:
        made.end()


@contextmanager
def both(server: Server) -> Iterator[list[http.client.HTTPConnection]]:
    """A connection to each process."""
    with ExitStack() as stack:
        made = [connected(server.port, server.pid, to) for to in sorted(web_processes(server.pid))]
        for connection in made:
            stack.callback(connection.close)
        yield made


def test_connections_are_spread_over_both(server: Server) -> None:
    def fewest_of_a_dozen() -> int:
        wires = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
        served = Counter(serving(wire, server.pid) for wire in wires)
        for wire in wires:
            wire.close()
        return min(served.values()) if len(served) == 2 else 0

    wait_until(lambda: fewest_of_a_dozen() >= 4)  # on a busy machine one of them may not wake up in time


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def metrics(connection: http.client.HTTPConnection) -> dict[str, float]:
    lines = ask(connection, "GET", "/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_each_asks_the_other_to_stop_sending_an_upload(server: Server, film: Film) -> None:
    client, content = Client(server), film(400_000)
    with both(server) as connections:
        pids = [serving(connection.sock, server.pid) for connection in connections]
        assert len(set(pids)) == 2
        path = client.new(len(content))
        with client.sending(path, content[:200_000]) as line:
            other = connections[pids.index(serving(line.wire, server.pid)) - 1]
            answer = ask(other, "HEAD", path, TUS | bearer(server.tokens["alice"]))
            assert (answer.status, answer.headers["Upload-Offset"]) == (200, "200000")
            assert line.was_refused()
    assert client.finish(path, content) == 200_000


def test_throttled_requests_and_failed_attempts_are_counted_together(server: Server) -> None:
    with both(server) as connections:

        def statuses(number: int, token: str) -> list[int]:
            path = "/api/v1/operations/"
            return [ask(connections[turn % 2], "GET", path, bearer(token)).status for turn in range(number)]

        assert statuses(A_MINUTE + 1, server.tokens["carol"]) == [200] * A_MINUTE + [429]
        assert statuses(31, "wrong") == [401] * 30 + [429]


def test_the_metrics_of_both_are_one_sum_and_do_not_fall_when_one_is_killed(server: Server) -> None:
    answers = 'millrace_http_responses_total{method="GET",route="healthz",status="200"}'
    refused = 'millrace_uploads_total{protocol="put",reason="too_large",result="refused"}'
    with both(server) as connections:
        before = metrics(connections[0]).get(answers, 0)
        for connection in connections * 5:
            assert ask(connection, "GET", "/healthz").status == 200
            assert refuse(connection, server).status == 413
        found = [metrics(connection) for connection in connections]
        assert [each[answers] for each in found] == [before + 10] * 2
        assert [each[refused] for each in found] == [10] * 2
        assert [each["millrace_uploads_active_limit"] for each in found] == [20] * 2
        assert found[0]["process_resident_memory_bytes"] > sum(map(resident, web_processes(server.pid))) / 2
        first = serving(connections[0].sock, server.pid)
        text = ask(connections[0], "GET", "/metrics").body.decode()
        families = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
        assert sorted(families) == sorted(set(families))

        kill(first)
        wait_until(lambda: len(web_processes(server.pid) - {first}) == 2)
        left = connections[1]
        assert ask(left, "GET", "/healthz").status == 200
        found = [metrics(left)]
        assert found[0][answers] == before + 11
        assert found[0][refused] == 10


def refuse(connection: http.client.HTTPConnection, server: Server) -> Answer:
    """An upload that is too large by its length, of which nothing is sent. The connection is opened again."""
    to = serving(connection.sock, server.pid)
    connection.putrequest("PUT", "/api/v1/upload/a.mp4")
    for name, value in ({"Content-Length": str(10**15)} | bearer(server.tokens["bob"])).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    answer = Answer(response.status, response.msg, response.read())
    connection.close()
    connection.sock = connected(server.port, server.pid, to).sock
    return answer


def resident(pid: int) -> int:
    [kilobytes] = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return 1024 * int(kilobytes)


def test_a_stop_leaves_no_process_and_no_shared_folder(server: Server) -> None:
    pids = web_processes(server.pid)
    mapped = [Path(f"/proc/{pid}/maps").read_text() for pid in pids]
    [folder] = set(re.findall(r" (\S+)/counter_\d+.db", "".join(mapped)))
    assert Path(folder).is_dir()
    assert server.process is not None
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not Path(folder).exists()
