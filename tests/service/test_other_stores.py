"""An installation that had a local store and now has an S3 bucket for new files, with the old store beside it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.in_server import content
from tests.support.object_store import ObjectStore
from tests.support.running_servers import running
from tests.support.server import Server, Template
from tests.support.tus_client import Client

pytestmark = pytest.mark.local_disk

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore
) -> Iterator[Server]:
    with running(template, tmp_path_factory) as found:
        yield found


def stored_in(server: Server, file: dict[str, Any]) -> str:
    return server.call(content.store_of, file["id"])


def is_whole(server: Server, file: dict[str, Any], expected: bytes) -> bool:
    answer = server.get(f"/api/v1/files/{file['id']}/content", user="alice")
    return (answer.status, answer.body) == (200, expected)


def readyz(server: Server) -> Any:
    return server.get("/readyz").json()


def test_files_and_unfinished_uploads_stay_in_their_store_when_another_one_takes_new_bytes(
    server: Server, object_store: ObjectStore, film: Film
) -> None:
    first, arriving, later = film(), film(), film()
    client = Client(server)
    earlier = server.put("earlier.mp4", first).json()
    upload = client.new(len(arriving))
    client.patch(upload, 0, arriving[:100_000])
    server.kill()

    bucket = server.use_bucket(object_store)
    server.start()
    assert server.get(f"/api/v1/files/{earlier['id']}/content", user="alice").code == "content_unavailable"
    assert client.patch(upload, 100_000, arriving[100_000:]).code == "storage_unavailable"
    [warning] = readyz(server)["warnings"]
    assert "“local” is not configured, but the database lists 1 contents and 1 unfinished uploads" in warning
    server.kill()

    server.settings = server.settings | {"OTHER_STORAGE": "local"}
    server.start()
    assert readyz(server)["warnings"] == []
    new = server.put("later.mp4", later).json()
    assert client.finish(upload, arriving) == 100_000
    assert is_whole(server, earlier, first)
    assert is_whole(server, new, later)
    completed = {"id": client.look(upload)["file"]}
    stores = [stored_in(server, file) for file in (earlier, completed, new)]
    assert stores == ["local", "local", f"s3://{bucket}/media"]


def test_two_entries_for_one_store_stop_the_start(server: Server) -> None:
    server.settings = server.settings | {"STORAGE": "local", "OTHER_STORAGE": "local"}
    for command in ("check", "serve"):
        done = server.manage(command, check=False)
        assert done.returncode != 0
        assert "The store “local” is configured 2 times" in done.stderr
