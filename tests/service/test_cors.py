"""Pages of other sites: which may use the API, what they may send, and what they can read."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.running_servers import StartServer, running
from tests.support.server import Answer, Server, Template

APP = "https://app.example.com"
LOCAL = "http://localhost:3000"
OTHER = "https://other.example"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, CORS_ORIGINS=f"{APP}, {LOCAL}", MAX_FILE_SIZE="1MiB") as server:
        yield server


def preflight(server: Server, path: str, method: str, *headers: str, origin: str = APP) -> Answer:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = ",".join(headers)
    return server.request("OPTIONS", path, headers=asked, user=None)  # a browser shows no token before it may


def words(answer: Answer, header: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(header, "").split(",")}


def cors_headers(answer: Answer) -> list[str]:
    return [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("origin", [APP, LOCAL])
def test_a_page_of_an_allowed_site_reads_the_answer(server: Server, origin: str) -> None:
    answer = server.get("/api/v1/files/", {"Origin": origin}, user="alice")
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "origin" in words(answer, "Vary")


@pytest.mark.parametrize(
    "origin", [OTHER, "null", f"{APP}.other.example", APP.replace("https", "http"), f"{APP}:8443"]
)
def test_a_page_of_another_site_does_not(server: Server, origin: str) -> None:
    assert cors_headers(server.get("/api/v1/files/", {"Origin": origin}, user="alice")) == []
    assert cors_headers(preflight(server, "/api/v1/files/", "POST", origin=origin)) == []


def test_cookies_of_another_site_are_never_wanted(server: Server) -> None:
    for answer in (
        server.get("/api/v1/files/", {"Origin": APP}),
        preflight(server, "/api/v1/files/", "POST", "authorization"),
    ):
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "files/0/content", ["authorization", "range", "if-range"]),
        ("POST", "files/", ["authorization", "content-type", "idempotency-key", "content-digest", "repr-digest"]),
        ("PUT", "upload/film.mp4", ["authorization", "content-type", "content-encoding", "idempotency-key"]),
        ("PATCH", "files/0/", ["authorization", "content-type"]),
        ("DELETE", "files/0/", ["authorization"]),
        (
            "POST",
            "uploads/",
            [
                "authorization", "content-type", "tus-resumable", "upload-length", "upload-metadata",
                "upload-defer-length", "upload-concat", "x-requested-with", "x-request-id",
            ],
        ),
        ("HEAD", "uploads/0", ["authorization", "tus-resumable"]),
        (
            "PATCH",
            "uploads/0",
            [
                "authorization", "content-type", "tus-resumable", "upload-offset", "upload-length",
                "upload-checksum",
            ],
        ),
        ("POST", "uploads/0", ["authorization", "x-http-method-override", "tus-resumable", "upload-offset"]),
        ("DELETE", "uploads/0", ["authorization", "tus-resumable"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_programs_send_is_allowed_beforehand(server: Server, method: str, path: str, headers: list[str]) -> None:
    answer = preflight(server, f"/api/v1/{path}", method, *headers)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert method.lower() in words(answer, "Access-Control-Allow-Methods") | {"head"}  # HEAD needs no leave
    assert words(answer, "Access-Control-Allow-Headers") >= set(headers)


def test_a_page_can_read_what_clients_need(server: Server) -> None:
    answer = server.get("/api/v1/files/", {"Origin": APP}, user="alice")
    assert words(answer, "Access-Control-Expose-Headers") >= {
        "location", "upload-offset", "upload-length", "upload-defer-length", "upload-metadata", "upload-expires",
        "tus-version", "tus-resumable", "tus-extension", "tus-max-size", "tus-checksum-algorithm", "retry-after",
        "idempotency-replayed", "etag", "content-range", "repr-digest",
    }  # fmt: skip


def test_an_upload_from_another_site_is_kept(server: Server, film: Callable[..., bytes]) -> None:
    answer = server.put("film.mp4", film(), {"Origin": APP})
    assert answer.status == 201
    assert answer.headers["Access-Control-Allow-Origin"] == APP


def refusals(server: Server, origin: dict[str, str]) -> Iterator[Answer]:
    yield server.get("/api/v1/files/", origin)
    yield server.get("/api/v1/nowhere", origin, user="alice")
    yield server.request("PUT", "/api/v1/files/", b"", origin)
    yield server.put("film.mp4", bytes(3 << 20), origin)
    yield server.put("film.mp4", b"no film at all" * 1000, origin)
    file = server.put("a.srt", b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n").json()
    yield server.get(f"/api/v1/files/{file['id']}/content", origin | {"Range": "bytes=1000-"}, user="alice")


def test_a_page_can_read_why_it_was_refused(server: Server) -> None:
    answers = list(refusals(server, {"Origin": APP}))
    assert [answer.status for answer in answers] == [401, 404, 405, 413, 415, 416]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {APP}


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/healthz", "/metrics", "/static/favicon.svg", "/nowhere"])
def test_other_sites_have_no_business_outside_the_api(server: Server, path: str) -> None:
    assert cors_headers(server.get(path, {"Origin": APP})) == []
    assert cors_headers(preflight(server, path, "POST", "authorization")) == []


def test_a_star_lets_every_site_in_with_a_token(start_server: StartServer) -> None:
    server = start_server(CORS_ORIGINS="*")
    assert server.get("/api/v1/files/", {"Origin": OTHER}, user="alice").headers["Access-Control-Allow-Origin"] == "*"
    answer = preflight(server, "/api/v1/files/", "POST", "authorization", origin=OTHER)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_no_site_is_let_in_unless_it_was_named(shared_server: Server) -> None:
    assert cors_headers(shared_server.get("/api/v1/files/", {"Origin": APP}, user="alice")) == []
    assert cors_headers(preflight(shared_server, "/api/v1/files/", "POST")) == []
