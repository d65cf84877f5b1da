"""Health, readiness and counters of a server."""

import http.client
from collections.abc import Callable

import pytest

from tests.support.api_requests import keep
from tests.support.running_servers import StartServer
from tests.support.server import Server, form_end, form_part
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


def test_health_needs_no_token(shared_server: Server) -> None:
    assert shared_server.get("/healthz").json() == {"status": "ok"}
    ready = shared_server.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (200, "ok")
    assert set(ready.json()["checks"]) >= {"database", "storage", "room"}
    assert set(ready.json()["checks"].values()) == {"ok"}


@pytest.mark.local_disk
def test_a_server_that_lost_its_disk_is_not_ready(start_server: StartServer) -> None:
    server = start_server()
    server.media.rename(server.home / "elsewhere")
    ready = server.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (503, "not ready")
    assert "mounted" in ready.json()["checks"]["storage"]
    assert str(server.home) not in ready.body.decode()
    assert server.get("/healthz").status == 200


@pytest.mark.local_disk
def test_a_server_without_room_is_not_ready(start_server: StartServer) -> None:
    server = start_server(MIN_FREE="9000TB")
    assert "MILLRACE_MIN_FREE" in server.get("/readyz").json()["checks"]["room"]
    assert server.get("/readyz").status == 503


def metrics(server: Server) -> dict[str, float]:
    lines = server.get("/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_what_happens_is_counted(start_server: StartServer, film: Film) -> None:
    server, content = start_server(MAX_FILE_SIZE="1MiB"), film(300_000)
    file = keep(server, content)
    server.get(f"/api/v1/files/{file['id']}/content", {"Range": "bytes=0-99"}, user="alice")
    server.post_form(form_part("file", b"no film", "a.mp4") + form_end())
    server.put("a.mp4", bytes(1_500_000))
    found = metrics(server)
    assert found["millrace_received_bytes_total"] == 300_000 + len(b"no film")
    assert found["millrace_sent_bytes_total"] == 100
    assert found['millrace_uploads_total{protocol="put",reason="",result="complete"}'] == 1
    assert found['millrace_uploads_total{protocol="form",reason="unsupported_media",result="failed"}'] == 1
    assert found['millrace_uploads_total{protocol="put",reason="too_large",result="refused"}'] == 1
    assert found['millrace_upload_duration_seconds_count{size_class="10MiB"}'] == 1
    assert found["millrace_uploads_active"] == 0


def test_uploads_on_their_way_are_counted(start_server: StartServer, film: Film) -> None:
    server, content = start_server(), film()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("PUT", "/api/v1/upload/film.mp4")
    connection.putheader("Authorization", f"Bearer {server.tokens['alice']}")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:100_000])
    wait_until(lambda: metrics(server)["millrace_uploads_active"] == 1)
    connection.send(content[100_000:])
    assert connection.getresponse().status == 201
    wait_until(lambda: metrics(server)["millrace_uploads_active"] == 0)
