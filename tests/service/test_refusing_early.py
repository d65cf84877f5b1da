"""What will be refused is refused before it is sent; what is accepted is asked for."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.continue_client import CHUNKED, CONTINUE, FORM, POST, PUT, WAYS, Client, as_put, length
from tests.support.films import sha256
from tests.support.raw_requests import chunk
from tests.support.running_servers import running
from tests.support.server import Server, Template, form_part

MIB = 1024**2
LIMIT = MIB  # MAX_FILE_SIZE of the server below

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, MAX_FILE_SIZE=str(LIMIT)) as made:
        yield made


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
