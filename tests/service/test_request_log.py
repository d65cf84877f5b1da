"""One line a request, which says who asked for what, from where, how much went each way, and how long it took."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.admin_client import signed_in
from tests.support.running_servers import StartServer, running
from tests.support.server import Answer, Server, Template, form_end, form_part
from tests.support.tus_client import Client, pieces
from tests.support.waiting import wait_until

Film = Callable[..., bytes]
FILES = "/api/v1/files/"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that believes its proxy, which is this machine."""
    with running(template, tmp_path_factory, TRUSTED_PROXIES="127.0.0.1") as made:
        yield made


def lines(server: Server, request_id: str) -> list[dict[str, Any]]:
    """What is logged of a request. The line about it comes when its answer is through."""
    found = [line for text in server.log.splitlines() if (line := _read(text)).get("request_id") == request_id]
    return found if any(line["event"] == "request" for line in found) else []


def _read(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return found


def line_of(server: Server, answer: Answer) -> dict[str, Any]:
    request_id = answer.headers["X-Request-ID"]
    wait_until(lambda: lines(server, request_id))
    [found] = [line for line in lines(server, request_id) if line["event"] == "request"]
    return found


def test_a_line_tells_who_asked_for_what_and_how_much_went_each_way(server: Server, film: Film) -> None:
    content = film()
    sent = server.put("film.mp4", content, {"X-Forwarded-For": "192.0.2.7"})
    line = line_of(server, sent)
    assert (line["method"], line["path"], line["status"]) == ("PUT", "/api/v1/upload/film.mp4", 201)
    assert (line["account"], line["token"], line["address"]) == ("alice", "test", "192.0.2.7")
    assert (line["bytes_in"], line["bytes_out"], line["code"]) == (len(content), len(sent.body), None)
    assert 0 <= line["seconds"] < 60
    path = f"{FILES}{sent.json()['id']}/content"
    for headers, size in (({}, len(content)), ({"Range": "bytes=10-19"}, 10)):
        line = line_of(server, server.get(path, headers, user="alice"))
        assert (line["bytes_in"], line["bytes_out"]) == (0, size)


def test_bytes_are_counted_however_they_come(server: Server, film: Film) -> None:
    content = film()
    assert line_of(server, server.put("a.mp4", pieces(content), chunked=True))["bytes_in"] == len(content)
    form = form_part("file", content, "a.mp4") + form_end()
    assert line_of(server, server.post_form(form))["bytes_in"] == len(form)
    client = Client(server)
    path = client.new(len(content))
    assert line_of(server, client.patch(path, 0, content[:1000]))["bytes_in"] == 1000
    body = b'{"name": "b.mp4"}'
    answer = server.request("PATCH", f"{FILES}x/", body, {"Content-Type": "application/json"})
    assert line_of(server, answer)["bytes_in"] == 0  # nobody wanted them
    refused = server.put("a.mp4", content, {"Authorization": "Bearer wrong"})
    line = line_of(server, refused)
    assert (line["account"], line["token"], line["code"], line["bytes_in"]) == (None, None, "unauthenticated", 0)


def test_a_download_that_breaks_off_says_how_far_it_came(server: Server, film: Film) -> None:
    content = film(30_000_000)
    file = server.put("film.mp4", content).json()
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(("127.0.0.1", server.port))
        head = f"GET {FILES}{file['id']}/content HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: broken-off\r\n"
        wire.sendall(f"{head}Authorization: Bearer {server.tokens['alice']}\r\n\r\n".encode())
        with wire.makefile("rb") as answer:
            assert answer.read(12) == b"HTTP/1.1 200"
            answer.read(100_000)
        assert lines(server, "broken-off") == []  # it is not through
    wait_until(lambda: lines(server, "broken-off"))
    [line] = [line for line in lines(server, "broken-off") if line["event"] == "request"]
    assert (line["account"], line["token"]) == ("alice", "test")
    assert 0 < line["bytes_out"] < len(content)


def test_a_session_is_named_by_its_account(server: Server) -> None:
    browser = signed_in(server, "operator")
    for path in ("/admin/uploads/mediafile/", FILES):
        line = line_of(server, browser.request("GET", path))
        assert (line["account"], line["token"]) == ("operator", None)
    line = line_of(server, browser.request("GET", "/static/favicon.svg"))
    assert line["account"] is None  # nobody has asked for it, and the log does not


def test_a_finished_upload_tells_its_size_its_time_and_its_speed(server: Server, film: Film) -> None:
    content = film()
    sent = server.put("film.mp4", content)
    wait_until(lambda: lines(server, sent.headers["X-Request-ID"]))
    [line] = [line for line in lines(server, sent.headers["X-Request-ID"]) if line["event"] == "upload_complete"]
    assert (line["file"], line["protocol"], line["size"]) == (sent.json()["id"], "put", len(content))
    assert line["megabytes_per_second"] == pytest.approx(len(content) / line["seconds"] / 1e6, rel=0.2, abs=0.02)
    client = Client(server)
    path = client.new(len(content))
    client.patch(path, 0, content[:1000])
    last = client.patch(path, 1000, content[1000:])
    wait_until(lambda: lines(server, last.headers["X-Request-ID"]))
    [line] = [line for line in lines(server, last.headers["X-Request-ID"]) if line["event"] == "upload_complete"]
    assert (line["upload"], line["protocol"]) == (path.rpartition("/")[2], "tus")


# The id


def test_a_request_has_the_id_that_its_proxy_gave_it(server: Server) -> None:
    for said in ("a", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef012345678912345678"):
        answer = server.get(FILES, {"X-Request-ID": said}, user="alice")
        assert answer.headers["X-Request-ID"] == said
        assert line_of(server, answer)["request_id"] == said


@pytest.mark.parametrize("said", ["", " ", "a b", "x" * 65, "a\tb", 'a"b', "\xe9", "<script>"])
def test_an_id_that_is_not_well_formed_is_replaced(said: str, server: Server) -> None:
    given = server.get(FILES, {"X-Request-ID": said}, user="alice").headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", given)


def test_nobody_but_a_trusted_proxy_gives_an_id(shared_server: Server) -> None:
    given = [shared_server.get("/healthz", {"X-Request-ID": "mine"}).headers["X-Request-ID"] for _ in range(3)]
    assert "mine" not in given
    assert len({*given}) == 3


def test_a_problem_names_the_request(server: Server) -> None:
    for path, headers in ((f"{FILES}x/", {}), ("/nowhere", {"Accept": "application/json"})):
        answer = server.get(path, headers, user="alice")
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_every_line_of_a_request_has_its_id_and_no_other_has(start_server: StartServer) -> None:
    """One thread serves them all."""
    server = start_server(config="tests.support.gunicorn_configs.extra_log_lines", THREADS="2")
    answers = [server.get("/api/v1/operations/", {"Accept": "application/json"}, user="alice") for _ in range(6)]
    for answer in answers:
        request_id = answer.headers["X-Request-ID"]
        wait_until(lambda request_id=request_id: lines(server, request_id))  # type: ignore[misc]
        assert [line["event"] for line in lines(server, request_id)] == ["said within", "request"]
    outside = [line for line in map(_read, server.log.splitlines()) if line.get("event") == "said outside"]
    assert len(outside) >= 6
    assert not [line for line in outside if "request_id" in line]


def test_jobs_carry_the_id_of_their_request_into_the_log_of_their_attempts(server: Server, clip: bytes) -> None:
    server.start_worker("quick")
    film = server.put("film.mp4", clip, {"X-Request-ID": "an-upload"}).json()["id"]
    order = json.dumps({"operation": "thumbnail", "file": film}).encode()
    headers = {"Content-Type": "application/json", "X-Request-ID": "an-order"}
    job = server.request("POST", "/api/v1/jobs/", order, headers).json()["id"]
    server.manage("submit", film, "thumbnail", "width=64")

    def ran() -> set[tuple[str, str | None]]:
        found = [line for line in map(_read, server.log.splitlines()) if line.get("event") == "job_run"]
        assert all(line["job"] == job for line in found if line.get("request_id") == "an-order")
        return {(line["operation"], line.get("request_id")) for line in found}

    wanted = {("inspect", "an-upload"), ("thumbnail", "an-order"), ("thumbnail", None)}
    wait_until(lambda: ran() >= wanted, 60, lambda: server.log)


def test_a_server_at_an_ipv6_address_knows_its_proxies_by_their_ipv4_addresses(start_server: StartServer) -> None:
    # As at `::`, where all IPv4 peers look like this; and reached by nobody but this machine.
    server = start_server(HOST="[::ffff:127.0.0.1]", TRUSTED_PROXIES="127.0.0.1", CONNECTIONS_PER_ADDRESS="1")
    said = {"X-Forwarded-For": "192.0.2.7", "X-Request-ID": "from-the-proxy"}
    with socket.create_connection(("127.0.0.1", server.port)):  # that all others come from is no limit for it
        answer = server.get(FILES, said, user="alice")
    assert answer.headers["X-Request-ID"] == "from-the-proxy"
    assert line_of(server, answer)["address"] == "192.0.2.7"
    direct = start_server(HOST="::ffff:127.0.0.1")
    assert line_of(direct, direct.get(FILES, said, user="alice"))["address"] == "127.0.0.1"
