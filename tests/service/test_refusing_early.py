"""What will be refused is refused before it is sent; what is accepted is asked for, and outlives a stop."""

import contextlib
import http.client
import os
import select
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.web_server.lingering_close import LINGER_SECONDS, MAX_LINGERING, Lingering
from tests.support.films import sha256
from tests.support.running_servers import StartServer, running
from tests.support.server import Answer, Server, Template, form_end, form_part
from tests.support.waiting import wait_until

MIB = 1024**2
LIMIT = MIB  # MAX_FILE_SIZE of the server below
FORM = "Content-Type: multipart/form-data; boundary=b0undary"
PUT, POST = "PUT /api/v1/upload/film.mp4", "POST /api/v1/files/"
CONTINUE = "Expect: 100-continue"
CHUNKED = "Transfer-Encoding: chunked"

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, MAX_FILE_SIZE=str(LIMIT)) as made:
        yield made


class Client:
    """One connection, and everything that comes back on it, also what comes before an answer."""

    def __init__(self, server: Server, *, user: str | None = "alice", buffer: int | None = None) -> None:
        self.wire = socket.socket()
        if buffer:
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.wire.settimeout(20)
        self.wire.connect(("127.0.0.1", server.port))
        self._answers = self.wire.makefile("rb")
        self._headers = ["Host: 127.0.0.1", *([f"Authorization: Bearer {server.tokens[user]}"] if user else [])]
        self.continues = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self._answers.close()
        self.wire.close()

    def ask(self, request: str, *headers: str, body: bytes = b"", version: str = "HTTP/1.1") -> "Client":
        lines = [f"{request} {version}", *self._headers, *headers]
        self.wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return self

    def answer(self) -> Answer:
        while (status := self.status()) == 100:
            assert not http.client.parse_headers(self._answers)
            self.continues += 1
        headers = http.client.parse_headers(self._answers)
        return Answer(status, headers, self._answers.read(int(headers["Content-Length"])))

    def status(self) -> int:
        line = self._answers.readline()
        assert line.startswith(b"HTTP/1."), line
        return int(line.split()[1])

    def is_asked(self) -> bool:
        """Wait for `100 Continue`."""
        return self.status() == 100 and self._answers.readline() == b"\r\n"

    def is_hung_up_on(self) -> bool:
        try:
            return self._answers.read() == b""
        except ConnectionError:
            return True

    def send_until_answered(self, pieces: Iterator[bytes]) -> int:
        """How much was sent until an answer could be read, or the server was gone."""
        sent = 0
        with selectors.DefaultSelector() as reading, contextlib.suppress(ConnectionError):
            reading.register(self.wire, selectors.EVENT_READ)
            for piece in pieces:
                if reading.select(0):
                    break
                self.wire.sendall(piece)
                sent += len(piece)
        return sent


def length(of: bytes | int) -> str:
    return f"Content-Length: {of if isinstance(of, int) else len(of)}"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def form_of(content: bytes) -> bytes:
    return form_part("file", content, "film.mp4") + form_end()


def endless(piece: bytes, at_most: int) -> Iterator[bytes]:
    return (piece for _ in range(at_most // len(piece)))


TOO_LARGE = {"put": (PUT,), "form": (POST, FORM)}


# Before the body


@pytest.mark.parametrize("options", [["-T"], ["-F"]], ids=["put", "form"])
def test_curl_sends_no_byte_of_what_is_too_large(server: Server, tmp_path: Path, options: list[str]) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(bytes(3 * MIB))
    what = [*options, str(film) if options == ["-T"] else f"file=@{film}"]
    path = "/api/v1/upload/" if options == ["-T"] else "/api/v1/files/"
    done = subprocess.run(
        ["curl", "-sS", "-v", "-H", f"Authorization: Bearer {server.tokens['alice']}", "-H", CONTINUE,
         "--expect100-timeout", "20", "-o", str(tmp_path / "answer"), "-w", "%{http_code} %{size_upload}",
         *what, server.url + path],
        check=True, text=True, capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "413 0"
    assert CONTINUE in done.stderr
    assert "100 Continue" not in done.stderr


REFUSED: dict[str, tuple[int, tuple[str, ...]]] = {
    "too large": (413, (PUT, length(LIMIT + 1))),
    "too large a form": (413, (POST, FORM, length(10 * LIMIT))),
    "a bad name": (400, ("PUT /api/v1/upload/..%2Ffilm.mp4", length(1000))),
    "an unknown coding": (415, (PUT, length(1000), "Content-Encoding: br")),
    "a digest that cannot be read": (400, (PUT, length(1000), "Content-Digest: sha-256=no")),
    "no such place": (404, ("PUT /api/v1/nowhere", length(1000))),
    "no such method": (405, ("DELETE /api/v1/upload/film.mp4", length(1000))),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused_is_never_asked_for(server: Server, why: str) -> None:
    status, (request, *headers) = REFUSED[why]
    with Client(server) as client:
        answer = client.ask(request, *headers, CONTINUE).answer()
        assert (answer.status, answer.headers["Connection"], client.continues) == (status, "close", 0)
        assert client.is_hung_up_on()


@pytest.mark.parametrize("why", REFUSED)
def test_an_answer_before_the_body_was_read_closes_the_connection(server: Server, why: str) -> None:
    status, (request, *headers) = REFUSED[why]
    with Client(server) as client:
        answer = client.ask(request, *headers, body=b"GET / HTTP/1.1\r\n\r\n").answer()
        assert (answer.status, answer.headers["Connection"]) == (status, "close")
        assert client.is_hung_up_on()


@pytest.mark.parametrize("entrance", TOO_LARGE)
@pytest.mark.parametrize("user", [None, "viewer"], ids=["nobody", "a viewer"])
def test_who_may_not_upload_is_never_asked_for_the_body(server: Server, entrance: str, user: str | None) -> None:
    with Client(server, user=user) as client:
        answer = client.ask(*TOO_LARGE[entrance], length(1000), CONTINUE).answer()
        assert (answer.status, client.continues) == (403 if user else 401, 0)
        assert answer.headers["Connection"] == "close"
        assert client.is_hung_up_on()


# Asked for, once


def as_put(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    return content, (PUT, length(content))


def as_form(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    body = form_of(content)
    return body, (POST, FORM, length(body))


def as_chunks(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    return chunk(content[:70_000]) + chunk(content[70_000:]) + b"0\r\n\r\n", (PUT, CHUNKED)


def as_chunked_form(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    return as_chunks(form_of(content))[0], (POST, FORM, CHUNKED)


WAYS = {"put": as_put, "form": as_form, "chunked": as_chunks, "chunked form": as_chunked_form}


@pytest.mark.parametrize("way", WAYS)
def test_an_accepted_upload_is_asked_for_once_and_answered_once(server: Server, film: Film, way: str) -> None:
    content = film()
    body, (request, *headers) = WAYS[way](content)
    with Client(server) as client:
        client.ask(request, *headers, CONTINUE)
        assert client.is_asked()
        for start in range(0, len(body), 100_000):
            client.wire.sendall(body[start : start + 100_000])
        answer = client.answer()
        assert (answer.status, answer.json()["sha256"], client.continues) == (201, sha256(content), 0)


def test_a_client_that_does_not_wait_is_not_asked(server: Server, film: Film) -> None:
    for way in WAYS.values():
        body, (request, *headers) = way(film())
        with Client(server) as client:
            assert client.ask(request, *headers, body=body).answer().status == 201
            assert client.continues == 0


def test_a_client_that_sends_at_once_in_spite_of_its_expectation_is_served(server: Server, film: Film) -> None:
    content = film()
    with Client(server) as client:
        answer = client.ask(PUT, length(content), CONTINUE, body=content).answer()
        assert (answer.status, answer.json()["sha256"], client.continues) == (201, sha256(content), 1)


def test_curl_uploads_what_it_was_asked_for(server: Server, film: Film, tmp_path: Path) -> None:
    path, content = tmp_path / "film.mp4", film(LIMIT)
    path.write_bytes(content)
    done = subprocess.run(
        ["curl", "-sS", "-v", "-T", str(path), "-H", f"Authorization: Bearer {server.tokens['alice']}",
         "-H", CONTINUE, "-w", "%{http_code}", f"{server.url}/api/v1/upload/"],
        check=True, text=True, capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.stderr.count("100 Continue") == 1
    assert done.stdout.endswith("201")
    assert sha256(content) in done.stdout


# Clients that send on


@pytest.mark.parametrize("entrance", TOO_LARGE)
def test_who_sends_everything_before_reading_gets_the_whole_answer(server: Server, entrance: str) -> None:
    with Client(server) as client:
        client.ask(*TOO_LARGE[entrance], length(64 * MIB))
        for piece in endless(bytes(MIB), 64 * MIB):
            client.wire.sendall(piece)
        answer = client.answer()
        assert (answer.status, answer.code, answer.headers["Connection"]) == (413, "too_large", "close")
        assert client.is_hung_up_on()


@pytest.mark.parametrize("entrance", TOO_LARGE)
def test_without_a_length_the_refusal_comes_soon_after_the_limit(server: Server, film: Film, entrance: str) -> None:
    begin = film() if entrance == "put" else form_part("file", film(), "film.mp4")[:-2]
    with Client(server, buffer=16 * 1024) as client:
        client.ask(*TOO_LARGE[entrance], CHUNKED, body=chunk(begin))
        sent = client.send_until_answered(endless(chunk(bytes(16_000)), 64 * MIB))
        answer = client.answer()
    assert (answer.status, answer.code, answer.headers["Connection"]) == (413, "too_large", "close")
    assert sent < LIMIT + 16 * MIB
    print(f"sent {sent / MIB:.1f} MiB, of which the limit is {LIMIT / MIB:.0f}")  # noqa: T201


STRANGERS = {
    "nobody": "X-Nothing: at all",
    "a made-up token": "Authorization: Bearer " + 64 * "a",
    "a made-up session": "Cookie: sessionid=" + 32 * "a",
}
REFUSED_LARGE = {**TOO_LARGE, "nowhere": ("PUT /api/v1/nowhere",), "login": ("POST /admin/login/", FORM)}


@pytest.mark.parametrize("what", REFUSED_LARGE)
@pytest.mark.parametrize("who", STRANGERS)
def test_who_is_not_known_is_cut_off_at_once(server: Server, what: str, who: str) -> None:
    with Client(server, user=None) as client:
        began = time.monotonic()
        client.ask(*REFUSED_LARGE[what], STRANGERS[who], length(10_000 * MIB))
        with pytest.raises(ConnectionError):
            client.wire.sendall(bytes(256 * MIB))
        assert time.monotonic() - began < 8  # nobody is lingered for


def test_what_comes_behind_an_early_answer_is_not_carried_out(server: Server, film: Film) -> None:
    name, content = f"smuggled-{os.getpid()}.mp4", film()
    smuggled = (
        f"PUT /api/v1/upload/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length(content)}\r\n"
        f"Authorization: Bearer {server.tokens['alice']}\r\n\r\n"
    ).encode() + content
    for why in REFUSED:
        _, (request, *headers) = REFUSED[why]
        with Client(server) as client:
            client.ask(request, *headers, body=smuggled).answer()
            assert client.is_hung_up_on(), "it was answered"
    names = [file["name"] for file in server.get("/api/v1/files/?page_size=500", user="alice").json()["results"]]
    assert name not in names


def test_requests_behind_a_whole_body_are_answered_in_turn(server: Server, film: Film) -> None:
    for way in WAYS.values():
        body, (request, *headers) = way(film())
        with Client(server) as client:
            client.ask(request, *headers, body=body + b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert [client.answer().status, client.answer().status] == [201, 200]


# Connections that go on


def test_a_connection_goes_on_after_answers_to_whole_requests(server: Server, film: Film) -> None:
    with Client(server) as client:
        for _ in range(3):
            answer = client.ask("GET /healthz").answer()
            assert (answer.status, answer.headers["Connection"]) == (200, "keep-alive")
        for way in WAYS.values():
            body, (request, *headers) = way(film())
            answer = client.ask(request, *headers, body=body).answer()
            assert (answer.status, answer.headers["Connection"]) == (201, "keep-alive")
        wrong = "Content-Digest: sha-256=:" + "A" * 43 + "=:"
        body, (request, *headers) = as_put(film())
        answer = client.ask(request, *headers, wrong, body=body).answer()
        assert (answer.code, answer.headers["Connection"]) == ("digest_mismatch", "keep-alive")
        assert client.ask("GET /healthz").answer().status == 200


def test_http_1_0_is_spoken(server: Server, film: Film) -> None:
    content = film()
    with Client(server) as client:
        # An expectation in HTTP/1.0 means nothing (RFC 9110 10.1.1).
        answer = client.ask(PUT, length(content), CONTINUE, body=content, version="HTTP/1.0").answer()
        assert (answer.status, answer.json()["sha256"], client.continues) == (201, sha256(content), 0)
        assert client.is_hung_up_on()
    with Client(server) as client:
        answer = client.ask(PUT, length(10 * LIMIT), version="HTTP/1.0").answer()
        assert answer.code == "too_large"
        assert client.is_hung_up_on()
    path = f"/api/v1/files/{server.put('film.mp4', content).json()['id']}/content"
    with Client(server) as client:
        assert client.ask(f"GET {path}", version="HTTP/1.0").answer().body == content
        assert client.is_hung_up_on()


# Lingering


@pytest.fixture
def poller() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as made:
        yield made


@pytest.fixture
def lingering(poller: selectors.BaseSelector) -> Lingering:
    return Lingering(poller)


def closed(lingering: Lingering, *, wait: bool = True) -> socket.socket:
    """A client whose connection has just been closed."""
    client, wire = socket.socketpair()
    lingering.close(wire, wait=wait)
    client.settimeout(0)
    return client


def is_open(client: socket.socket) -> bool:
    """Whether somebody still takes what this client sends."""
    try:
        client.send(b"more")
    except ConnectionError:
        return False
    return True


def test_only_so_many_clients_are_lingered_for(lingering: Lingering, poller: selectors.BaseSelector) -> None:
    clients = [closed(lingering) for _ in range(MAX_LINGERING + 50)]
    assert [is_open(client) for client in clients] == [False] * 50 + [True] * MAX_LINGERING
    assert len(poller.get_map()) == MAX_LINGERING
    for client in clients:
        client.close()
    for key, _ in poller.select(0):
        key.data(key.fileobj)
    for key, _ in poller.select(0):
        key.data(key.fileobj)
    assert len(poller.get_map()) == 0


def test_who_made_room_for_another_is_not_heard_any_more(
    lingering: Lingering, poller: selectors.BaseSelector
) -> None:
    clients = [closed(lingering) for _ in range(MAX_LINGERING)]
    clients[0].close()
    told = poller.select(0)
    clients.append(closed(lingering))
    assert len(told) == 1
    for key, _ in told:
        key.data(key.fileobj)
    assert len(poller.get_map()) == MAX_LINGERING


def test_nobody_is_lingered_for_longer_than_so_many_seconds(
    lingering: Lingering, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [closed(lingering) for _ in range(3)]
    lingering.expire()
    assert all(map(is_open, clients))
    later = time.monotonic() + LINGER_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    lingering.expire()
    assert not any(map(is_open, clients))


def test_nobody_is_lingered_for_who_is_gone_or_was_heard_to_the_end(
    lingering: Lingering, poller: selectors.BaseSelector
) -> None:
    assert not is_open(closed(lingering, wait=False))
    client, wire = socket.socketpair()
    client.close()
    lingering.close(wire, wait=True)
    assert wire.fileno() == -1
    lingering.close(wire, wait=True)
    assert not poller.get_map()


# A stop


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
