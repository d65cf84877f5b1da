"""deploy/nginx.conf in a real nginx, in front of the real server: what clients and Millrace notice of it."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.admin_client import signed_in
from tests.support.films import sha256
from tests.support.nginx import HOST, BehindNginx, Nginx
from tests.support.nginx import PROGRAM as NGINX
from tests.support.server import Answer, Server, Template, form_end, form_part
from tests.support.slow_uploads import uploads, wait_for_offset
from tests.support.tus_client import UPLOADS, Client
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.skipif(NGINX is None, reason="nginx is not installed"), pytest.mark.local_disk]
Film = Callable[..., bytes]
MIB = 1024**2
HALF = 1_000_000
ANONYMOUS = 4  # requests of one client a minute


@pytest.fixture(scope="module")
def pair(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BehindNginx, Server]]:
    """A server behind nginx, and another one on the same home that answers directly, as if nginx had asked."""
    folder = tmp_path_factory.mktemp("nginx")
    home = folder / "home"
    database_url = template.copy_to(home)
    common = {
        "TRUSTED_PROXIES": "127.0.0.1",
        "PUBLIC_URL": f"https://{HOST}",
        "MAX_FILE_SIZE": "64MiB",
        "THROTTLE_ANON": f"{ANONYMOUS}/minute",
    }
    direct = Server(home, template.tokens, database_url, common)
    behind = BehindNginx(home, template.tokens, database_url, {**common, "ACCEL_PREFIX": "/content/"})
    nginx = Nginx(folder / "nginx", [behind.port], behind.media)
    try:
        behind.start()
        direct.start()
        nginx.start()
        behind.nginx = nginx
        yield behind, direct
    finally:
        nginx.stop()
        direct.kill()
        behind.end()


@pytest.fixture
def server(pair: tuple[BehindNginx, Server]) -> BehindNginx:
    return pair[0]


@pytest.fixture
def nginx(server: BehindNginx) -> Nginx:
    assert server.nginx is not None
    return server.nginx


# Uploads


@contextlib.contextmanager
def begun(server: BehindNginx, method: str, path: str, length: int, **headers: str) -> Iterator[socket.socket]:
    """A request over TLS of which only the head is sent."""
    assert server.nginx is not None
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{server.nginx.https}", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    plain = socket.create_connection((HOST, server.nginx.https), timeout=60)
    with server.nginx.trust.wrap_socket(plain, server_hostname=HOST) as wire:
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        yield wire


def answer_on(wire: socket.socket) -> Answer:
    response = http.client.HTTPResponse(wire)
    response.begin()
    return Answer(response.status, response.msg, response.read())


def authorization(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.tokens['alice']}"}


@pytest.mark.parametrize("entrance", ["put", "form"])
def test_an_upload_streams_through_and_is_in_no_file_of_nginx(
    server: BehindNginx, nginx: Nginx, film: Film, entrance: str
) -> None:
    content = film(2 * HALF)
    key = f"streams-{entrance}"
    headers = {**authorization(server), "Idempotency_Key": key}
    if entrance == "put":
        method, path, body = "PUT", "/api/v1/upload/slow.mp4", content
    else:
        method, path, body = "POST", "/api/v1/files/", form_part("file", content, "slow.mp4") + form_end()
        headers["Content_Type"] = "multipart/form-data; boundary=b0undary"
    with begun(server, method, path, len(body), **headers) as wire:
        wire.sendall(body[:HALF])
        wait_until(lambda: uploads(server, key))
        wait_for_offset(server, key, HALF - 256 * 1024)  # nginx and Millrace have small buffers, and no more
        assert nginx.temporary_files() == []
        wire.sendall(body[HALF:])
        answer = answer_on(wire)
    assert (answer.status, answer.json()["sha256"]) == (201, sha256(content))
    assert nginx.temporary_files() == []


def test_curl_uploads_as_readme_says(server: BehindNginx, nginx: Nginx, film: Film, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(film(3 * MIB))  # so much that curl expects 100 Continue
    said = subprocess.run(
        ["curl", "-sS", "--cacert", nginx.certificate, "-H", f"Authorization: Bearer {server.tokens['alice']}",
         "-T", tmp_path / "film.mp4", f"{server.url}/api/v1/upload/"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    file = json.loads(said)
    assert file["sha256"] == sha256((tmp_path / "film.mp4").read_bytes())
    assert file["urls"]["content"].startswith(f"{server.url}/")


def test_a_resumable_upload_goes_on_where_it_was_cut(server: BehindNginx, film: Film) -> None:
    tus, content = Client(server), film(2 * HALF)
    path = tus.new(len(content))
    headers = {"Tus_Resumable": "1.0.0", "Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    with begun(server, "PATCH", path, len(content), **authorization(server), **headers) as wire:
        wire.sendall(content[:HALF])
        tus.wait_for(path, HALF)
    assert tus.finish(path, content) == HALF


def test_a_chunked_upload_passes(server: BehindNginx, film: Film) -> None:
    content = film()
    answer = server.put("film.mp4", iter([content[:1000], content[1000:]]), chunked=True)
    assert (answer.status, answer.json()["sha256"]) == (201, sha256(content))


@pytest.mark.parametrize(
    ("size", "token", "status", "code"),
    [(20 * 1024**3, "alice", 413, "too_large"), (50 * MIB, "nobody", 401, "unauthenticated")],
)
def test_a_refusal_reaches_a_client_that_goes_on_sending(
    server: BehindNginx, size: int, token: str, status: int, code: str
) -> None:
    """It sends 8 MB, more than all buffers between it and Millrace hold, before it reads."""
    headers = {"Authorization": f"Bearer {server.tokens.get(token, token)}"}
    with begun(server, "PUT", "/api/v1/upload/film.mp4", size, **headers) as wire:
        for _ in range(8):
            wire.sendall(bytes(MIB))
        answer = answer_on(wire)
    assert (answer.status, answer.code) == (status, code)


def test_a_proxy_can_send_after_an_unknown_client_was_refused_and_then_read_the_answer(
    pair: tuple[BehindNginx, Server],
) -> None:
    head = f"PUT /api/v1/upload/film.mp4 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {50 * MIB}\r\n\r\n"
    with socket.create_connection((HOST, pair[1].port), timeout=60) as wire:
        wire.sendall(head.encode())
        wire.recv(1, socket.MSG_PEEK)  # it is there
        for _ in range(4):
            wire.sendall(bytes(MIB))
        answer = answer_on(wire)
    assert (answer.status, answer.code) == (401, "unauthenticated")


# Downloads


@pytest.fixture(scope="module")
def kept(pair: tuple[BehindNginx, Server], clip: bytes) -> str:
    """The path of a film's content."""
    answer = pair[0].put("film.mp4", clip)
    return f"/api/v1/files/{answer.json()['id']}/content"


# Of one connection or request; and what nginx leaves out of some answers, which says nothing about the content.
NOT_COMPARED = {"Date", "Server", "Connection", "X-Request-ID", "Allow", "Accept-Ranges"}


def headers_of(answer: Answer) -> dict[str, str]:
    names = list(map(str.lower, answer.headers.keys()))
    assert sorted(names) == sorted(set(names))
    return {name: value for name, value in answer.headers.items() if name not in NOT_COMPARED}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"Range": "bytes=0-0"},
        {"Range": "bytes=1000-1999"},
        {"Range": "bytes=-200"},
        {"Range": "bytes=5-", "If-Range": "ETAG"},
        {"Range": "bytes=5-", "If-Range": "MODIFIED"},
        {"Range": "bytes=5-", "If-Range": '"another"'},
        {"Range": "bytes=0-1,5-6"},
        {"If-None-Match": "ETAG"},
        {"If-None-Match": '"another"', "If-Modified-Since": "MODIFIED"},
        {"If-Modified-Since": "MODIFIED"},
        {"If-Match": "ETAG"},
        {"If-Match": '"another"'},
        {"If-Unmodified-Since": "MODIFIED"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nginx_answers_as_millrace_would(
    pair: tuple[BehindNginx, Server], kept: str, method: str, asked: dict[str, str]
) -> None:
    behind, direct = pair
    known = direct.request("HEAD", kept).headers
    sent = {
        name: value.replace("ETAG", known["ETag"]).replace("MODIFIED", known["Last-Modified"])
        for name, value in asked.items()
    }
    expected = direct.request(method, kept, headers={**sent, "X-Forwarded-Proto": "https"})
    answer = behind.request(method, kept, headers=sent)
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert headers_of(answer) == headers_of(expected)


def test_content_is_sent_by_nginx_and_only_where_millrace_says_so(
    server: BehindNginx, nginx: Nginx, kept: str, clip: bytes
) -> None:
    assert server.get(kept, user="alice").body == clip
    [stored] = [path for path in server.local_files() if path.read_bytes() == clip]
    # What Millrace itself has sent of it is nothing.
    wait_until(lambda: re.search(rf'"path": "{kept}".*"bytes_out": (?!{len(clip)})', server.log))
    assert server.get(kept, user="bob").code == "not_found"
    for path in (f"/content/{stored.parent.name}/{stored.name}", f"/%63ontent/{stored.parent.name}/{stored.name}"):
        assert server.get(path, user="alice").status == 404


def test_content_that_is_missing_is_503(server: BehindNginx, film: Film) -> None:
    content = film()
    file = server.put("film.mp4", content).json()
    [stored] = [path for path in server.stored_bytes() if path.read_bytes() == content]
    stored.unlink()
    answer = server.get(f"/api/v1/files/{file['id']}/content", user="alice")
    assert (answer.status, answer.code) == (503, "content_unavailable")


@pytest.mark.parametrize("begins", ["/api/v1/links/", "/%61pi/v1/lin%6bs/"])
def test_the_token_of_a_link_is_in_no_log(
    server: BehindNginx, nginx: Nginx, kept: str, clip: bytes, begins: str
) -> None:
    made = server.request("POST", kept.replace("content", "link/"), b"{}", {"Content-Type": "application/json"})
    path = made.json()["url"].removeprefix(f"https://{HOST}")
    token = path.split("/")[4]
    answer = server.get(path.replace("/api/v1/links/", begins))
    assert (answer.status, answer.body) == (200, clip)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    wait_until(lambda: '"GET /api/v1/links/..." 200' in nginx.access_log)
    assert token not in nginx.access_log
    assert token not in nginx.errors
    assert token not in server.log


# Who the client is, and what it may reach


def test_millrace_knows_the_address_of_the_client_and_believes_no_other(server: BehindNginx, nginx: Nginx) -> None:
    spoofed = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Request-ID": "chosen-by-client",
    }
    answer = server.request("GET", "/api/v1/me/", headers=spoofed, address="127.0.0.77")
    assert answer.status == 200
    request_id = answer.headers["X-Request-ID"]
    [line] = wait_until(lambda: [line for line in server.log.splitlines() if f'"{request_id}"' in line])
    assert '"address": "127.0.0.77"' in line
    assert "chosen-by-client" not in server.log
    wait_until(lambda: request_id in nginx.access_log)  # nginx writes it after the answer


def test_limits_count_each_client_by_itself(server: BehindNginx) -> None:
    for address in ("127.0.0.78", "127.0.0.79"):
        asked = [server.request("OPTIONS", UPLOADS, user=None, address=address).status for _ in range(ANONYMOUS + 1)]
        assert asked == [204] * ANONYMOUS + [429]


def test_a_client_escapes_no_limit_behind_a_proxy_that_keeps_what_it_sends(pair: tuple[BehindNginx, Server]) -> None:
    _, direct = pair
    chains = [{"X-Forwarded-For": f"203.0.113.{number}, 198.51.100.7"} for number in range(ANONYMOUS + 1)]
    asked = [direct.request("OPTIONS", UPLOADS, headers=chain, user=None).status for chain in chains]
    assert asked == [204] * ANONYMOUS + [429]


def test_http_leads_to_https(nginx: Nginx) -> None:
    answer = nginx.request("PUT", "/api/v1/upload/film.mp4?a=b", b"x", tls=False)
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{HOST}/api/v1/upload/film.mp4?a=b")


def test_browsers_are_told_once_to_use_https_only(server: BehindNginx, kept: str) -> None:
    for path in (kept, "/api/v1/me/", "/admin/login/"):
        assert server.get(path, user="alice").headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]


def test_staff_can_sign_in(server: BehindNginx) -> None:
    assert signed_in(server, "admin").request("GET", "/admin/").status == 200


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "//metrics", "/metrics?x"])
def test_metrics_are_not_for_the_world(pair: tuple[BehindNginx, Server], path: str) -> None:
    behind, direct = pair
    assert behind.get(path).status in {403, 404}
    assert direct.get("/metrics").status == 200
