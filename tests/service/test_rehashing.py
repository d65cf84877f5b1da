"""Where SHA-256 cannot be taken up in the middle: what came in several requests is read again, once, at the end."""

from collections.abc import Callable

import pytest

from tests.support.films import sha256
from tests.support.running_servers import StartServer

Film = Callable[..., bytes]
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_an_upload_in_pieces_has_its_hash(start_server: StartServer, film: Film, pieces: int) -> None:
    server = start_server(config="tests.support.gunicorn_configs.no_hash_state")
    content = film(1_000_000)
    created = server.request("POST", "/api/v1/uploads/", headers={**TUS, "Upload-Length": str(len(content))})
    step = -(-len(content) // pieces)
    for start in range(0, len(content), step):
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(start), **TUS}
        answer = server.request("PATCH", created.headers["Location"], content[start : start + step], headers)
        assert answer.status == 204
    [file] = server.get("/api/v1/files/", user="alice").json()["results"]
    assert file["sha256"] == sha256(content)
    assert server.manage("fsck", "--deep").returncode == 0
