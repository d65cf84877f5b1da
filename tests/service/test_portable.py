"""Behind another WSGI server, which knows nothing of ours: slower, and as right."""

import hashlib
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.in_server import startup
from tests.support.run import command_for
from tests.support.server import Server, Template, form_end, form_part

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server") / "home"
    made = Server(home, template.tokens, template.copy_to(home), {"MAX_FILE_SIZE": "16MiB"})
    # In the place of gunicorn: the words that follow, which would start it, are ignored.
    made.wrapper = command_for(startup.serve_with_wsgiref)
    made.start()
    yield made
    made.end()


def sha256_of(server: Server, identity: str) -> str:
    answer = server.get(f"/api/v1/files/{identity}/content", user="alice")
    assert answer.status == 200
    return hashlib.sha256(answer.body).hexdigest()


def test_it_is_another_server(server: Server) -> None:
    assert server.get("/healthz").headers["Server"].startswith("WSGIServer")


@pytest.mark.parametrize("size", [5_000, 65_536, 3_000_000])
@pytest.mark.parametrize("entrance", ["put", "form"])
def test_a_file_goes_in_and_comes_out_as_it_was(server: Server, film: Film, entrance: str, size: int) -> None:
    content = film(size)
    form = form_part("file", content, "film.mp4") + form_end()
    answer = server.put("film.mp4", content) if entrance == "put" else server.post_form(form)
    assert (answer.status, answer.json()["size"]) == (201, size)
    assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert sha256_of(server, answer.json()["id"]) == answer.json()["sha256"]


def test_a_part_comes_out_as_it_was(server: Server, film: Film) -> None:
    content = film()
    identity = server.put("film.mp4", content).json()["id"]
    answer = server.get(f"/api/v1/files/{identity}/content", {"Range": "bytes=1000-200000"}, user="alice")
    assert (answer.status, answer.body) == (206, content[1000:200_001])


def head(server: Server, request: str, length: int, *headers: str) -> bytes:
    lines = [f"{request} HTTP/1.0", f"Authorization: Bearer {server.tokens['alice']}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def entrances(server: Server, content: bytes, length: int) -> dict[str, bytes]:
    form = form_part("file", content, "film.mp4") + form_end()
    boundary = "Content-Type: multipart/form-data; boundary=b0undary"
    return {
        "put": head(server, "PUT /api/v1/upload/film.mp4", length) + content,
        "form": head(server, "POST /api/v1/files/", length + 500, boundary) + form,
    }


@pytest.mark.parametrize("entrance", ["put", "form"])
def test_a_body_that_was_cut_off_is_refused_and_nothing_of_it_is_kept(
    server: Server, film: Film, entrance: str
) -> None:
    before = sorted(server.stored_bytes())
    answer = server.raw(entrances(server, film(), 400_000)[entrance], shut=True)
    assert answer.split(b" ", 2)[1] == b"400"
    assert b'"incomplete_body"' in answer
    assert sorted(server.stored_bytes()) == before


@pytest.mark.parametrize("entrance", ["put", "form"])
def test_what_is_too_large_is_refused_before_it_is_sent(server: Server, entrance: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(entrances(server, b"", 20_000_000)[entrance].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert wire.recv(100).split(b" ", 2)[1] == b"413"


def test_a_body_without_a_length_is_refused(server: Server) -> None:
    # Nobody tells us where it ends: this server hands chunks on as they are. It closes with what it has not read, so
    # whoever sent more than the head might find the connection reset before the answer.
    fields = {
        "Host": "127.0.0.1",
        "Authorization": f"Bearer {server.tokens['alice']}",
        "Transfer-Encoding": "chunked",
    }
    head = ["PUT /api/v1/upload/film.mp4 HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    answer = server.raw("\r\n".join([*head, "", ""]).encode())
    assert answer.split()[1] == b"411"
    assert b"length_required" in answer
