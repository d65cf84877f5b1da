"""Bytes out, as players, browsers, curl and nginx ask for them."""

import base64
import re
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from config.backends.sqlite3.base import MAX_KEPT
from tests.support.films import sha256
from tests.support.in_server import accounts, admin_rows, content
from tests.support.processes import sqlite_connections
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server, form_end, form_part
from tests.support.waiting import wait_until

SUBTITLES = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"
Film = Callable[..., bytes]
POOL = 40  # connections to PostgreSQL, as in config.settings


class Kept:
    """A film that alice keeps on the shared server."""

    def __init__(self, server: Server, content: bytes, name: str = "film.mp4") -> None:
        self.server, self.content = server, content
        answer = server.put(name, content)
        assert answer.status == 201, answer
        self.file: Any = answer.json()
        self.path = f"/api/v1/files/{self.file['id']}/content"

    def ask(self, method: str = "GET", query: str = "", user: str | None = "alice", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.request(method, self.path + query, headers=named, user=user)

    @property
    def etag(self) -> str:
        return f'"{sha256(self.content)}"'

    @property
    def modified(self) -> str:
        return str(self.ask("HEAD").headers["Last-Modified"])


@pytest.fixture(scope="module")
def kept(shared_server: Server, clip: bytes) -> Kept:
    return Kept(shared_server, clip + bytes(200_000))


def test_the_whole_comes_with_everything_a_client_may_want_to_know(kept: Kept) -> None:
    answer = kept.ask()
    assert (answer.status, answer.body) == (200, kept.content)
    assert answer.headers["ETag"] == kept.etag
    assert answer.headers["Content-Length"] == str(len(kept.content))
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert abs(parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp() - time.time()) < 3600
    digest = base64.b64encode(bytes.fromhex(sha256(kept.content))).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_head_says_the_same_and_sends_nothing(kept: Kept) -> None:
    head, get = kept.ask("HEAD"), kept.ask()
    assert (head.status, head.body) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Last-Modified", "Content-Disposition", "Accept-Ranges"):
        assert head.headers[name] == get.headers[name]


def test_content_may_not_act(kept: Kept) -> None:
    headers = kept.ask().headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-" not in policy


def test_content_is_kept_by_no_shared_cache(kept: Kept) -> None:
    headers = kept.ask().headers
    assert "private" in headers["Cache-Control"]
    assert {"Authorization", "Cookie"} <= set(re.split(", *", headers["Vary"]))


@pytest.mark.parametrize("tag", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
def test_whoever_has_it_already_gets_304(tag: str, kept: Kept) -> None:
    answer = kept.ask(If_None_Match=tag.format(etag=kept.etag))
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == kept.etag


def test_whoever_has_another_gets_it(kept: Kept) -> None:
    assert kept.ask(If_None_Match='"other"').body == kept.content


def test_what_was_not_modified_since_is_304(kept: Kept) -> None:
    assert kept.ask(If_Modified_Since=kept.modified).status == 304
    assert kept.ask(If_Modified_Since=formatdate(0, usegmt=True)).status == 200
    assert kept.ask(If_Modified_Since="yesterday").status == 200


def test_a_precondition_that_fails_is_412(kept: Kept) -> None:
    assert kept.ask(If_Match='"other"').status == 412
    assert kept.ask(If_Match=kept.etag).status == 200
    assert kept.ask(If_Unmodified_Since=formatdate(10**9, usegmt=True)).status == 412


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("0-99", 0, 100),
        ("70000-", 70_000, None),
        ("-1", -1, None),
        ("-500", -500, None),
        ("100-999999999", 100, None),
        ("-999999999", 0, None),
    ],
)
def test_one_range_is_206(asked: str, start: int, stop: int | None, kept: Kept) -> None:
    answer = kept.ask(Range=f"bytes={asked}")
    expected = kept.content[start:stop]
    assert (answer.status, answer.body) == (206, expected)
    assert answer.headers["Content-Length"] == str(len(expected))
    first = len(kept.content) + start if start < 0 else start
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(kept.content)}"
    assert answer.headers["ETag"] == kept.etag


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_range_past_the_end_is_416_and_says_the_size(asked: str, kept: Kept) -> None:
    answer = kept.ask(Range=asked)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(kept.content)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=0-0,-1", "items=0-1", "bytes=abc", "bytes=5-1", "9" * 5000]
)
def test_other_ranges_are_answered_with_the_whole(asked: str, kept: Kept) -> None:
    answer = kept.ask(Range=asked)
    assert (answer.status, answer.body) == (200, kept.content)
    assert "Content-Range" not in answer.headers


def test_a_range_is_for_get_alone(kept: Kept) -> None:
    answer = kept.ask("HEAD", Range="bytes=0-1")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(kept.content)))


def test_if_range_sends_the_part_of_what_the_client_has(kept: Kept) -> None:
    assert kept.ask(Range="bytes=0-9", If_Range=kept.etag).status == 206
    assert kept.ask(Range="bytes=0-9", If_Range=kept.modified).status == 206


@pytest.mark.parametrize("stale", ['"other"', formatdate(0, usegmt=True), "W/{etag}", "nonsense"])
def test_if_range_sends_the_whole_of_what_has_changed(stale: str, kept: Kept) -> None:
    answer = kept.ask(Range="bytes=0-9", If_Range=stale.format(etag=kept.etag))
    assert (answer.status, answer.body) == (200, kept.content)


def test_a_304_wins_over_a_range(kept: Kept) -> None:
    assert kept.ask(Range="bytes=0-9", If_None_Match=kept.etag).status == 304


def disposition_of(answer: Answer) -> str:
    return str(answer.headers["Content-Disposition"])


@pytest.mark.parametrize(
    ("name", "path", "header"),
    [
        ("movie.mp4", "movie.mp4", 'inline; filename="movie.mp4"'),
        ("my movie.mp4", "my%20movie.mp4", 'inline; filename="my movie.mp4"'),
        ('a "b".mp4', "a%20%22b%22.mp4", 'inline; filename="a \\"b\\".mp4"'),
        ("für 映画.mp4", "f%C3%BCr%20%E6%98%A0%E7%94%BB.mp4", "inline; filename*=utf-8''f%C3%BCr%20%E6%98%A0%E7%94%BB.mp4"),  # noqa: E501
    ],
)  # fmt: skip
def test_the_name_is_said_as_rfc_6266_wants(
    name: str, path: str, header: str, shared_server: Server, clip: bytes
) -> None:
    named = Kept(shared_server, clip, path)
    assert named.file["name"] == name
    assert disposition_of(named.ask()) == header


def test_a_name_cannot_add_a_header(shared_server: Server, clip: bytes) -> None:
    form = form_part("file", clip, "a%0D%0AX-Evil: yes.mp4") + form_end()
    file = shared_server.post_form(form).json()
    answer = shared_server.get(f"/api/v1/files/{file['id']}/content", user="alice")
    assert "X-Evil" not in answer.headers
    assert disposition_of(answer) == 'inline; filename="a X-Evil: yes.mp4"'


def test_a_download_is_an_attachment_when_it_is_asked_for(kept: Kept) -> None:
    assert disposition_of(kept.ask(query="?download")) == 'attachment; filename="film.mp4"'


def test_what_is_no_media_to_look_at_is_always_an_attachment(shared_server: Server) -> None:
    subtitles = Kept(shared_server, SUBTITLES, "film.srt")
    assert subtitles.file["kind"] == "subtitle"
    assert disposition_of(subtitles.ask()) == 'attachment; filename="film.srt"'


def test_without_media_rules_what_is_no_media_is_an_attachment(start_server: StartServer) -> None:
    page = Kept(start_server(ACCEPT="*"), b"<!doctype html><script>alert(1)</script>", "page.html")
    answer = page.ask()
    assert disposition_of(answer) == 'attachment; filename="page.html"'
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_only_its_owner_and_staff_get_it(kept: Kept) -> None:
    assert kept.ask(user="bob").status == 404
    assert kept.ask(user=None).status == 401
    assert kept.ask(user="viewer").body == kept.content


@pytest.mark.parametrize("accept", ["video/*", "image/avif,image/webp", "application/json", "nonsense"])
def test_bytes_are_bytes_whatever_the_client_would_rather_have(accept: str, kept: Kept) -> None:
    answer = kept.ask(Accept=accept, Range="bytes=0-9")
    assert (answer.status, answer.body) == (206, kept.content[:10])


def test_content_is_only_read(kept: Kept) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert kept.ask(method).code == "method_not_allowed"


def test_a_broken_download_is_resumed_by_curl(kept: Kept, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(kept.content[:100_000])
    subprocess.run(
        ["curl", "-sS", "--fail", "-C", "-", "-o", str(target), kept.server.url + kept.path,
         "-H", f"Authorization: Bearer {kept.server.tokens['alice']}"],
        check=True,
    )  # fmt: skip
    assert target.read_bytes() == kept.content


# Links


def link_to(kept: Kept, expires_in: int | None = None, user: str = "alice") -> Answer:
    body = b"{}" if expires_in is None else b'{"expires_in": %d}' % expires_in
    path = f"/api/v1/files/{kept.file['id']}/link/"
    return kept.server.request("POST", path, body, {"Content-Type": "application/json"}, user=user)


def path_of(link: Answer) -> str:
    assert link.status == 201, link
    path: str = urlsplit(link.json()["url"]).path
    return path


def test_a_link_works_without_a_token(kept: Kept) -> None:
    link = link_to(kept, 60)
    answer = kept.server.get(path_of(link))
    assert (answer.status, answer.body) == (200, kept.content)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer.headers["Cache-Control"]
    assert path_of(link).endswith("/film.mp4")


def test_a_link_understands_ranges(kept: Kept) -> None:
    answer = kept.server.get(path_of(link_to(kept)), {"Range": "bytes=5-9"})
    assert (answer.status, answer.body) == (206, kept.content[5:10])


def test_a_link_lasts_a_day_unless_it_is_said(kept: Kept) -> None:
    ends = datetime.fromisoformat(link_to(kept).json()["expires_at"]).timestamp()
    assert 24 * 3600 - 30 < ends - time.time() <= 24 * 3600 + 1


def test_a_link_expires(kept: Kept) -> None:
    path = path_of(link_to(kept, 1))
    wait_until(lambda: kept.server.get(path).status != 200)
    answer = kept.server.get(path)
    assert (answer.status, answer.code) == (403, "invalid_link")


@pytest.mark.parametrize("expires_in", [0, -1, 31 * 24 * 3600, 10**30])
def test_a_link_cannot_last_for_no_time_nor_for_ever(expires_in: int, kept: Kept) -> None:
    assert link_to(kept, expires_in).code == "invalid_params"


def test_all_links_to_a_file_are_revoked_at_once(shared_server: Server, film: Film) -> None:
    mine = Kept(shared_server, film())
    paths = [path_of(link_to(mine)), path_of(link_to(mine, 60))]
    revoked = shared_server.request("DELETE", f"/api/v1/files/{mine.file['id']}/link/")
    assert (revoked.status, revoked.body) == (204, b"")
    assert [shared_server.get(path).code for path in paths] == ["invalid_link"] * 2
    assert shared_server.get(path_of(link_to(mine))).status == 200


def test_a_link_ends_with_its_file(shared_server: Server, film: Film) -> None:
    mine = Kept(shared_server, film())
    path = path_of(link_to(mine))
    assert shared_server.request("DELETE", f"/api/v1/files/{mine.file['id']}/").status == 204
    assert shared_server.get(path).code == "invalid_link"


@pytest.mark.parametrize("forged", ["x", "a:b:c", "eyJ.x:1tX:AAAA", "%00", "%FF%FE", "." * 300])
def test_a_forged_link_is_refused(forged: str, kept: Kept) -> None:
    answer = kept.server.get(f"/api/v1/links/{forged}/film.mp4")
    assert (answer.status, answer.code) == (403, "invalid_link")


def test_a_link_that_was_changed_is_refused(kept: Kept) -> None:
    path = path_of(link_to(kept))
    at = len("/api/v1/links/") + 3
    changed = path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :]
    assert kept.server.get(changed).code == "invalid_link"


def test_only_who_may_change_a_file_makes_links_to_it(kept: Kept) -> None:
    assert link_to(kept, user="bob").status == 404
    assert link_to(kept, user="viewer").code == "forbidden"
    assert link_to(kept, user="operator").status == 201


@pytest.mark.parametrize("account", ["alice", "operator"])
def test_a_link_ends_with_the_account_that_owns_the_file_and_with_the_one_that_made_it(
    account: str, start_server: StartServer, film: Film
) -> None:
    mine = Kept(start_server(), film())
    path = path_of(link_to(mine, user="operator"))
    assert mine.server.get(path).status == 200
    mine.server.call(accounts.set_active, account, False)
    assert (mine.server.get(path).status, mine.server.get(path).code) == (403, "invalid_link")
    mine.server.call(accounts.set_active, account, True)
    assert mine.server.get(path).status == 200


def test_a_link_of_an_older_release_that_names_no_maker_works(kept: Kept) -> None:
    signed = kept.server.call(content.link_of_old_release, kept.file["id"])
    assert kept.server.get(f"/api/v1/links/{signed}/film.mp4").status == 200


def test_a_link_is_made_for_the_public_address(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(PUBLIC_URL="https://media.example.org"), film())
    link = link_to(mine)
    assert link.json()["url"].startswith("https://media.example.org/api/v1/links/")
    assert mine.server.get(path_of(link)).status == 200


def test_the_token_of_a_link_is_never_in_the_log(kept: Kept) -> None:
    path = path_of(link_to(kept))
    token = path.split("/")[4]
    assert kept.server.get(path).status == 200
    assert kept.server.get(path + "/more").status == 200  # the name is for people
    assert kept.server.get(f"/api/v1/links/{token}").status == 301  # to the page
    assert kept.server.get(f"/api/v1/links/{token}/").status == 200
    assert kept.server.get(f"/api/v1/links/{token}/hls/master.m3u8").status in {200, 409}
    assert kept.server.request("POST", path, b"").status in {403, 405}
    assert token not in kept.server.log
    wait_until(lambda: '"/api/v1/links/\\u2026"' in kept.server.log)


# When something is not as it should be


def test_missing_bytes_are_503(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(), film())
    [stored] = mine.server.stored_bytes()
    stored.unlink()
    for answer in (mine.ask(), mine.ask(Range="bytes=0-1")):
        assert (answer.status, answer.code) == (503, "content_unavailable")
        assert str(mine.server.home) not in answer.body.decode()
        assert stored.name not in answer.body.decode()
    assert mine.ask("HEAD").status == 503


def test_bytes_that_are_too_few_are_503(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(), film())
    [stored] = mine.server.stored_bytes()
    stored.write_bytes(mine.content[:1000])
    assert mine.ask().code == "content_unavailable"


@pytest.mark.local_disk
def test_behind_nginx_nginx_sends_the_bytes(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(ACCEL_PREFIX="/protected/"), film())
    [stored] = mine.server.local_files()
    answer = mine.ask()
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["X-Accel-Redirect"] == f"/protected/{stored.parent.name}/{stored.name}"
    assert answer.headers["Content-Type"] == "video/mp4"
    assert disposition_of(answer) == 'inline; filename="film.mp4"'
    assert mine.ask(user="bob").status == 404
    for unlike in (mine.ask("HEAD"), mine.ask(If_Match=mine.etag)):  # nginx would get these wrong
        assert (unlike.status, unlike.headers["X-Accel-Redirect"]) == (200, None)
    stored.unlink()
    assert mine.ask().code == "content_unavailable"


# Readers


def reader(kept: Kept) -> socket.socket:
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    wire.settimeout(20)
    wire.connect(("127.0.0.1", kept.server.port))
    token = kept.server.tokens["alice"]
    wire.sendall(f"GET {kept.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return wire


def test_a_slow_and_steady_reader_gets_the_whole_file(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(UPLOAD_IDLE_TIMEOUT="1s"), film(12_000_000))
    began = time.monotonic()
    with reader(mine) as wire:
        head, _, body = wire.recv(4096).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        received = bytearray(body)
        while len(received) < len(mine.content):
            data = wire.recv(100_000)
            assert data, "the server hung up"
            received += data
            time.sleep(len(data) / 3_000_000)
    assert time.monotonic() - began > 3
    assert received == mine.content


def test_a_stalled_reader_loses_its_connection(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(UPLOAD_IDLE_TIMEOUT="1s"), film(16_000_000))
    with reader(mine) as wire:
        assert wire.recv(1000)
        time.sleep(4)
        received = drain(wire)
    assert received < len(mine.content)


def drain(wire: socket.socket) -> int:
    received = 0
    try:
        while data := wire.recv(1_000_000):
            received += len(data)
    except ConnectionError:
        pass
    return received


def test_downloads_on_their_way_hold_no_database_connections(start_server: StartServer, film: Film) -> None:
    mine = Kept(start_server(THREADS="64"), film(16_000_000))
    with ExitStack() as open_readers:
        for _ in range(POOL + 5):
            wire = open_readers.enter_context(reader(mine))
            assert wire.recv(1000)
        assert mine.server.get("/api/v1/files/", user="alice").status == 200
        if not mine.server.database_url:
            # The request just answered may be about to close its own.
            wait_until(lambda: sqlite_connections(mine.server.pid) <= MAX_KEPT)


def test_an_answer_without_a_length_waits_for_its_reader_behind_one_that_had_one(start_server: StartServer) -> None:
    server = start_server()
    session = server.call(admin_rows.make_many_files, 24_000, "n" * 200)
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        wire.settimeout(20)
        wire.connect(("127.0.0.1", server.port))
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"status": "ok"}'):
            data = wire.recv(4096)
            assert data, (answer, server.log[-3000:])
            answer += data
        path = "/admin/uploads/mediafile/export/"
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid={session}\r\n\r\n".encode())
        received = bytearray(wire.recv(4096))
        assert received.startswith(b"HTTP/1.1 200")
        time.sleep(2)  # until there is no room for more
        while not received.endswith(b"\r\n0\r\n\r\n"):
            data = wire.recv(1_000_000)
            assert data, "the server hung up"
            received += data
    assert received.count(b"n" * 200) == 24_000
