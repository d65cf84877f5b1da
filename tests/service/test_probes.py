"""What machines ask: whether a process answers, whether it has all it needs, and what its API is."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from config.http import api_description
from config.monitoring import health
from tests.support.running_servers import StartServer
from tests.support.server import Server
from tests.support.small_disks import read_only

PROBES = ["/healthz", "/readyz", "/metrics"]


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8000", "[2001:db8::1]:8000"])
def test_a_probe_by_address_is_answered(path: str, host: str, shared_server: Server) -> None:
    assert shared_server.get(path, {"Host": host}).status == 200


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_by_a_strange_name_is_refused(path: str, shared_server: Server) -> None:
    assert shared_server.get(path, {"Host": "evil.example"}).status == 400


def test_nothing_but_probes_is_answered_by_a_strange_address(shared_server: Server) -> None:
    for path in ("/admin/login/", "/api/v1/files/", "/healthz/"):
        assert shared_server.get(path, {"Host": "10.1.2.3"}, user="alice").status == 400


def test_the_public_url_implies_its_host(start_server: StartServer) -> None:
    server = start_server(PUBLIC_URL="http://media.example.org:8443/")
    assert server.get("/api/v1/files/", {"Host": "media.example.org"}, user="alice").status == 200
    assert server.get("/api/v1/files/", {"Host": "other.example.org"}, user="alice").status == 400
    assert server.get("/api/v1/files/", user="alice").status == 200  # the names of this machine stay


def test_however_many_ask_for_the_api_s_description_it_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = SchemaGenerator.get_schema

    def spied(self: Any, *args: Any, **kwargs: Any) -> Any:
        built.append(self)
        return build(self, *args, **kwargs)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(SchemaGenerator, "get_schema", spied)
    api_description.document.cache_clear()
    api_description.rendered.cache_clear()
    kinds = ["application/json", "application/yaml", "*/*"]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda number: described(kinds[number % 3]), range(36)))
    assert len(built) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 2  # JSON and YAML


def test_a_client_that_has_the_description_is_told_so() -> None:
    etag = described("application/json")["ETag"]
    assert described("application/json", etag).status_code == 304
    assert described("application/yaml", etag).status_code == 200


def described(accept: str, etag: str = "") -> Any:
    return Client().get("/api/v1/schema/", headers={"accept": accept, "if-none-match": etag})


@pytest.mark.django_db
def test_the_check_of_the_database_is_one_query(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    assert database_check() == "ok"
    monkeypatch.setattr(health, "MigrationExecutor", None)  # it would read the modules of all migrations again
    with django_assert_num_queries(1):
        assert health._database()


@pytest.mark.django_db
def test_a_migration_that_is_missing_is_noticed_while_the_process_runs() -> None:
    assert database_check() == "ok"
    recorder = MigrationRecorder(connection)
    newest = recorder.migration_qs.filter(app="uploads").latest("name").name
    recorder.record_unapplied("uploads", newest)
    assert "manage.py migrate" in database_check()
    recorder.record_applied("uploads", newest)
    assert database_check() == "ok"


def database_check() -> str:
    return str(Client().get("/readyz").json()["checks"]["database"])


@pytest.mark.local_disk
def test_a_store_that_became_read_only_is_not_ready(start_server: StartServer, clip: bytes) -> None:
    server = start_server()
    file = server.put("clip.mp4", clip).json()
    with read_only(server.media):
        ready = server.get("/readyz")
        assert (ready.status, ready.json()["checks"]["storage"]) == (503, "ok")
        assert "read-only" in ready.json()["checks"]["writable"]
        assert server.put("more.mp4", clip[:-1]).code == "storage_unavailable"
        assert server.get(f"/api/v1/files/{file['id']}/content", user="alice").body == clip
    assert server.get("/readyz").status == 200
