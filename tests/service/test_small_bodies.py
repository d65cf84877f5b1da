"""Bodies that bring no file, and what comes before the file in a form, have a deadline and a budget of memory."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.running_servers import StartServer, running
from tests.support.server import Answer, Server, Template, form_end, form_part
from tests.support.waiting import wait_until

DEADLINE = 2.0  # as in tests.support.gunicorn_configs.short_body_limits
BUDGET = 250_000
FORM = "Content-Type: multipart/form-data; boundary=b0undary"
CSRF = "abcdefghijklmnopqrstuvwxyz012345"  # anybody can make up a cookie and a field that fit
STRANGE_FORM = (FORM, f"Cookie: csrftoken={CSRF}")


@pytest.fixture(scope="module")
def hurried(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, config="tests.support.gunicorn_configs.short_body_limits") as server:
        yield server


@contextmanager
def asking(server: Server, request: str, *lines: str, user: str | None = "alice") -> Iterator[socket.socket]:
    """A client that has sent the head of its request."""
    known = [f"Authorization: Bearer {server.tokens[user]}"] if user else []
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall("\r\n".join([f"{request} HTTP/1.1", "Host: 127.0.0.1", *known, *lines, "", ""]).encode())
        yield client


def answer_to(client: socket.socket) -> Answer:
    response = http.client.HTTPResponse(client)
    response.begin()
    return Answer(response.status, response.msg, response.read())


def trickle(client: socket.socket, letters: Iterator[bytes]) -> Answer:
    """Send so slowly that the server never waits for long, until it answers."""
    client.settimeout(0.2)
    with suppress(ConnectionError):
        for letter in letters:
            client.sendall(letter)
            with suppress(TimeoutError):
                if client.recv(1, socket.MSG_PEEK):
                    break
    client.settimeout(20)
    return answer_to(client)


def letters() -> Iterator[bytes]:
    yield form_part("csrfmiddlewaretoken", CSRF.encode()) + b"--b0undary\r\n"
    yield b'Content-Disposition: form-data; name="a"\r\n\r\n'
    for _ in range(200):
        yield b"a"


def in_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    return (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


@pytest.mark.parametrize(
    ("request_line", "lines", "user"),
    [
        ("POST /admin/login/", STRANGE_FORM, None),
        ("POST /api/v1/jobs/", ("Content-Type: application/json",), "alice"),
        ("POST /api/v1/files/", (FORM,), "alice"),  # to an entrance, where the file has not begun
    ],
)
def test_a_body_without_a_file_has_a_deadline(
    hurried: Server, request_line: str, lines: tuple[str, ...], user: str | None
) -> None:
    began = time.monotonic()
    with asking(hurried, request_line, "Content-Length: 90000", *lines, user=user) as client:
        answer = trickle(client, letters())
    assert (answer.status, answer.code) == (408, "too_slow")
    assert time.monotonic() - began >= DEADLINE * 0.9


def test_what_comes_before_a_file_has_a_deadline_in_chunks_too(hurried: Server) -> None:
    with asking(hurried, "POST /api/v1/files/", "Transfer-Encoding: chunked", FORM) as client:
        answer = trickle(client, in_chunks(letters()))
    assert (answer.status, answer.code) == (408, "too_slow")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_in_a_form_may_take_longer(hurried: Server, clip: bytes, chunked: bool) -> None:
    form = form_part("file", clip, "clip.mp4") + form_end()
    begin, end = form[:50_000], form[50_000:]
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(form)}"
    pieces = list(in_chunks(iter([begin, end]))) if chunked else [begin, end]
    with asking(hurried, "POST /api/v1/files/", how, FORM) as client:
        client.sendall(pieces[0])
        time.sleep(DEADLINE + 0.5)
        client.sendall(pieces[1] + (b"0\r\n\r\n" if chunked else b""))
        assert answer_to(client).status == 201


@pytest.mark.parametrize("path", ["/api/v1/files/", "/api/v1/jobs/", "/admin/uploads/mediafile/add/"])
def test_a_strangers_form_to_an_entrance_is_refused_unread(hurried: Server, path: str) -> None:
    with asking(hurried, f"POST {path}", "Content-Length: 90000", *STRANGE_FORM, user=None) as client:
        assert answer_to(client).status in {401, 403}


def test_a_small_body_is_asked_for_once_and_only_where_it_will_be_read(hurried: Server) -> None:
    order = json.dumps({"operation": "inspect", "file": "none"}).encode()
    lines = "Content-Type: application/json", "Expect: 100-continue", f"Content-Length: {len(order)}"
    with asking(hurried, "POST /api/v1/jobs/", *lines) as client:
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(order)
        assert answer_to(client).status == 400
    for unread in ("POST /api/v1/nowhere/", "DELETE /api/v1/upload/film.mp4"):
        with asking(hurried, unread, *lines) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 40")


def test_requests_follow_one_another_on_a_connection_with_gathered_bodies(hurried: Server) -> None:
    with asking(hurried, "GET /healthz") as client:
        assert answer_to(client).status == 200
        for _ in range(3):
            order = json.dumps({"operation": "nothing", "params": {"text": "a" * 70_000}}).encode()
            head = "POST /api/v1/jobs/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            head += f"Authorization: Bearer {hurried.tokens['alice']}\r\nContent-Length: {len(order)}\r\n\r\n"
            for piece in (head.encode(), order[:9], order[9:66_000], order[66_000:] + b"GET /healthz HTTP/1.1\r\n"):
                client.sendall(piece)
                time.sleep(0.05)
            assert answer_to(client).code in {"invalid_params", "invalid_request"}
            client.sendall(b"Host: 127.0.0.1\r\n\r\n")
            assert answer_to(client).status == 200


def test_the_largest_body_makes_room_when_the_memory_for_bodies_is_spent(hurried: Server) -> None:
    with asking(hurried, "POST /admin/login/", "Content-Length: 200000", *STRANGE_FORM, user=None) as largest:
        largest.sendall(bytes(150_000))
        with asking(hurried, "POST /admin/login/", "Content-Length: 200000", *STRANGE_FORM, user=None) as second:
            second.sendall(bytes(BUDGET - 150_000 + 10_000))
            refused = answer_to(largest)
            assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "server_busy", "5")
            # What the refused one held can be used again.
            answer = hurried.request(
                "POST", "/api/v1/jobs/", b" " * 100_000 + b"{", {"Content-Type": "application/json"}
            )
            assert answer.status == 400


def test_one_address_has_only_so_many_connections(start_server: StartServer) -> None:
    server = start_server(CONNECTIONS_PER_ADDRESS="4")

    def connect(address: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(address, 0))

    def is_served(client: socket.socket) -> bool:
        try:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            return client.recv(1000).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False

    clients = [connect("127.0.0.7") for _ in range(6)]
    assert [is_served(client) for client in clients] == [True] * 4 + [False] * 2
    clients.append(connect("127.0.0.8"))
    assert is_served(clients[-1])
    clients.pop(0).close()

    def is_served_again() -> bool:
        clients.append(connect("127.0.0.7"))
        return is_served(clients[-1])

    wait_until(is_served_again)
    assert server.log.count("connections_refused") == 1
    for client in clients:
        client.close()


def test_one_account_has_only_so_many_forms_before_their_files(start_server: StartServer, clip: bytes) -> None:
    server = start_server(MAX_UPLOADS_PER_USER="2")
    whole = form_part("file", clip, "film.mp4") + form_end()
    head = (FORM, f"Content-Length: {len(whole)}", "Expect: 100-continue")

    @contextmanager
    def form_begun(user: str) -> Iterator[socket.socket]:
        with asking(server, "POST /api/v1/files/", *head, user=user) as client:
            assert client.recv(12) == b"HTTP/1.1 100"  # a thread reads it from now on
            client.recv(100)
            yield client

    with form_begun("alice") as first, form_begun("alice"):
        with asking(server, "POST /api/v1/files/", *head) as third:
            refused = answer_to(third)
        assert (refused.status, refused.code) == (429, "too_many_uploads")
        with form_begun("bob"):
            pass
        first.sendall(whole)
        assert answer_to(first).status == 201
        with form_begun("alice") as again:
            again.sendall(whole)
            assert answer_to(again).status == 201
