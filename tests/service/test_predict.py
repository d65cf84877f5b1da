"""The operation predict by real workers over real sockets: the example server, servers that misbehave, and faults."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import model_endpoint_rows as rows
from tests.support.films import different_copy
from tests.support.free_ports import free_port
from tests.support.in_server import admin_rows
from tests.support.job_orders import job, keep, order, post, submitted
from tests.support.job_requests import ended as wait_for_end
from tests.support.model_servers import Handle, answering, ok, pour, read_request, reset, serving, status
from tests.support.running_servers import running
from tests.support.server import ROOT, Server, Template, query
from tests.support.waiting import wait_until

EXAMPLE = ROOT / "tests" / "example_model_server" / "server.py"
SECRET = "Bearer example"
NEVER = threading.Event()


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, LEASE="10s") as made:
        made.start_worker("bulk")
        yield made


@pytest.fixture
def upload(server: Server, clip: bytes) -> Callable[..., str]:
    return lambda user="alice": keep(server, different_copy(clip), user=user)


@contextmanager
def example() -> Iterator[str]:
    """The URL of the example server, run as docs/predict.md says."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(EXAMPLE), str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_open(port))
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def ended(server: Server, made: Any) -> Any:
    return wait_for_end(server, made["id"])


def predict(server: Server, file: str, endpoint: str, user: str = "alice") -> Any:
    return submitted(server, user, operation="predict", file=file, params={"endpoint": endpoint})


def add(server: Server, name: str, url: str, secret: str = "", **more: Any) -> None:
    server.call(rows.add, name, secret, url=url, **more)


def answer_of(server: Server, made: Any, user: str = "alice") -> bytes:
    return server.get(f"/api/v1/jobs/{made['id']}/artifacts/prediction.json", user=user).body


def test_the_example_server_answers_and_equal_requests_do_not_reach_it_again(server: Server, clip: bytes) -> None:
    content = different_copy(clip)
    mine, theirs = keep(server, content), keep(server, content, "other.mp4", "bob")
    with example() as url:
        add(server, "example", url, SECRET, shares_answers=True)
        add(server, "wrong-secret", url, "Bearer wrong")
        made = predict(server, mine, "example")
        found = ended(server, made)
        assert found["status"] == "succeeded", found
        refused = ended(server, predict(server, mine, "wrong-secret"))
        assert refused["error"]["code"] == "endpoint_refused"
    answer = answer_of(server, made)
    assert json.loads(answer) == {
        "kind": "video/mp4", "sha256": hashlib.sha256(content).hexdigest(), "labels": ["your model's words"]
    }  # fmt: skip
    assert [artifact["name"] for artifact in found["artifacts"]] == ["prediction.json"]
    for user, file in (("alice", mine), ("bob", theirs)):  # the server is gone
        again = predict(server, file, "example", user)
        assert (again["status"], again["cached"]) == ("succeeded", True)
        assert answer_of(server, again, user) == answer
    seen = [server.log, json.dumps([found, refused]), *server.call(admin_rows.all_rows)]
    assert not any(SECRET in text or "Bearer wrong" in text for text in seen)


def test_one_that_is_unknown_or_off_is_answered_with_400(server: Server, upload: Callable[..., str]) -> None:
    add(server, "asleep", "http://127.0.0.1:1/", active=False)
    for name in ("nothing", "asleep"):
        answer = order(server, operation="predict", file=upload(), params={"endpoint": name})
        assert (answer.status, answer.code) == (400, "endpoint_unavailable")
    answer = order(server, operation="predict", file=upload())
    assert (answer.status, answer.code) == (400, "invalid_params")


def cut_half_way(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(ok(b'{"a": ', length=100))
    reset(sock)


def ten_gigabytes(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    pour(sock, b"1" * 65536, 10_000_000_000)


MISBEHAVING: dict[str, tuple[Handle, str]] = {
    "redirects": (answering(status("302 Found", "Location: http://127.0.0.1:1/")), "endpoint_bad_answer"),
    "no-json": (answering(ok(b"<html>")), "endpoint_bad_answer"),
    "endless": (ten_gigabytes, "endpoint_bad_answer"),
    "lies": (answering(ok(b"[]", length=1000)), "endpoint_down"),
    "resets": (cut_half_way, "endpoint_down"),
    "fails": (answering(status("500 Oops")), "endpoint_down"),
    "slow": (lambda sock: NEVER.wait(5), "endpoint_down"),
    "refuses": (answering(status("422 Unprocessable")), "endpoint_refused"),
}


@pytest.mark.parametrize("name", MISBEHAVING)
def test_a_server_that_misbehaves_ends_the_job_with_a_clear_code(
    server: Server, upload: Callable[..., str], name: str
) -> None:
    handle, code = MISBEHAVING[name]
    with serving(handle) as served:
        add(server, name, served.url, retries=0, timeout=2)
        found = ended(server, predict(server, upload(), name))
    assert (found["status"], found["error"]["code"]) == ("failed", code)
    assert f"“{name}”" in found["error"]["detail"]
    assert f":{served.port}" not in json.dumps(found)
    assert found["artifacts"] == []
    assert not list((server.home / "work").iterdir())


def test_a_private_address_is_refused_unless_an_administrator_has_allowed_it(
    server: Server, upload: Callable[..., str]
) -> None:
    with serving(answering(ok(b"[]"))) as served:
        add(server, "here", served.url)
        server.call(rows.change, "here", private_addresses=False)
        found = ended(server, predict(server, upload(), "here"))
    assert (found["error"]["code"], served.connections) == ("endpoint_untrusted", 0)


def a_large_film(clip: bytes, size: int = 40_000_000) -> bytes:
    """The film with a box that nobody reads: more than the buffers of a connection take."""
    return different_copy(clip) + (8 + size).to_bytes(4, "big") + b"free" + bytes(size)


@pytest.mark.parametrize("stage", ["Sent", "Waiting for the answer"])
def test_a_job_is_cancelled_while_it_sends_and_while_it_waits(server: Server, clip: bytes, stage: str) -> None:
    cancelled, gone = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        if stage == "Sent":
            sock.recv(3_000_000)
            cancelled.wait(60)
        else:
            read_request(sock)
        with contextlib.suppress(OSError):
            while sock.recv(1 << 20):
                pass
        gone.set()

    file = keep(server, a_large_film(clip))
    with serving(handle) as served:
        name = "cancelled-" + stage.split()[0].lower()
        add(server, name, served.url)
        made = predict(server, file, name)
        wait_until(lambda: job(server, made["id"])["message"].startswith(stage), 60)
        assert post(server, f"/api/v1/jobs/{made['id']}/cancel/").status in {200, 202}
        wait_until(lambda: job(server, made["id"])["status"] == "cancelled")
        cancelled.set()
        assert gone.wait(20)
    assert not list((server.home / "work").iterdir())


def test_a_worker_that_is_killed_while_it_sends_costs_one_attempt(server: Server, clip: bytes) -> None:
    started = threading.Event()

    def handle(sock: socket.socket) -> None:
        if not started.is_set():
            sock.recv(100_000)
            started.set()
            NEVER.wait(20)
        read_request(sock)
        sock.sendall(ok(b'{"whole": true}'))

    file = keep(server, a_large_film(clip))
    with serving(handle) as served:
        add(server, "killed", served.url, concurrency=1)
        made = predict(server, file, "killed")
        assert started.wait(30)
        [(pid,)] = query(server, "SELECT pid FROM media_jobs_worker WHERE state = 'busy'")
        os.kill(pid, signal.SIGKILL)
        server.start_worker("bulk")
        wait_until(lambda: job(server, made["id"])["status"] == "succeeded", 90, lambda: job(server, made["id"]))
        assert served.connections == 2
    assert (job(server, made["id"])["attempt"], answer_of(server, made)) == (2, b'{"whole": true}')


def test_two_workers_do_not_send_more_than_the_server_takes_at_a_time(
    server: Server, upload: Callable[..., str]
) -> None:
    lock, now, most, together = threading.Lock(), 0, 0, threading.Barrier(1)

    def handle(sock: socket.socket) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        read_request(sock)
        together.wait(60)
        NEVER.wait(0.5)
        with lock:
            now -= 1
        sock.sendall(ok(b"[]"))

    other = server.start_worker("bulk")
    with serving(handle) as served:
        add(server, "narrow", served.url, concurrency=1)
        made = [predict(server, upload(), "narrow") for _ in range(4)]
        assert {ended(server, each)["status"] for each in made} == {"succeeded"}
        assert (most, served.connections) == (1, 4)
        server.call(rows.change, "narrow", concurrency=2)
        together = threading.Barrier(2)  # each request is answered when another has come
        made = [predict(server, upload(), "narrow") for _ in range(4)]
        assert {ended(server, each)["status"] for each in made} == {"succeeded"}
        assert most == 2
    other.terminate()
    other.wait(30)


def test_jobs_wait_for_a_server_that_is_down_and_go_on_when_it_is_back(
    server: Server, upload: Callable[..., str]
) -> None:
    port = free_port()
    add(server, "down", f"http://127.0.0.1:{port}/", failures=2, concurrency=1)
    made = [predict(server, upload(), "down") for _ in range(2)]

    def told() -> bool:
        reasons = [str(job(server, each["id"])["waiting_for"]) for each in made]
        return all("which does not accept connections; next try in" in reason for reason in reasons)

    wait_until(told, 60, lambda: [job(server, each["id"]) for each in made])
    assert {job(server, each["id"])["attempt"] for each in made} == {0}
    with serving(answering(ok(b"[]")), port):
        server.call(rows.try_now, "down")
        assert {ended(server, each)["status"] for each in made} == {"succeeded"}
    assert query(server, "SELECT failures FROM media_jobs_modelendpoint WHERE name = 'down'") == [(0,)]
