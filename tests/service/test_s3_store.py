"""A server whose bytes live in an S3 bucket."""

import hashlib
from collections.abc import Callable, Iterator

import pytest

from tests.support.admin_client import Browser
from tests.support.films import LongFilm
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from tests.support.running_servers import running
from tests.support.server import Server, Template, form_end, form_part
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore
) -> Iterator[Server]:
    with running(template, tmp_path_factory, store=object_store) as found:
        yield found


def bucket_of(server: Server) -> str:
    return server.settings["STORAGE"].split("/")[2]


def stored(server: Server, store: ObjectStore) -> dict[str, bytes]:
    """What the bucket has, read by another client."""
    client, bucket = store.client(), bucket_of(server)
    names = [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}


@pytest.mark.parametrize("way", ["put", "form"])
def test_a_file_is_whole_in_the_bucket_and_goes_when_it_is_deleted(
    server: Server, object_store: ObjectStore, clip: bytes, way: str
) -> None:
    content = clip + way.encode()
    if way == "put":
        made = server.put("film.mp4", content, user="alice").json()
    else:
        made = server.post_form(form_part("file", content, "film.mp4") + form_end(), user="alice").json()
    names = [name for name, found in stored(server, object_store).items() if found == content]
    assert len(names) == 1
    assert names[0].startswith("media/content/")
    answer = server.get(f"/api/v1/files/{made['id']}/content", user="alice")
    assert answer.body == content
    part = server.get(f"/api/v1/files/{made['id']}/content", {"Range": "bytes=-10"}, user="alice")
    assert (part.status, part.body) == (206, content[-10:])
    assert server.request("DELETE", f"/api/v1/files/{made['id']}/", user="alice").status == 204
    wait_until(lambda: names[0] not in stored(server, object_store))


def test_a_store_that_does_not_answer_is_named_and_comes_back(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, clip: bytes
) -> None:
    with running(template, tmp_path_factory, store=object_store) as server:
        server.kill()
        with Relay(object_store.port) as relay:
            server.variables = server.variables | {"AWS_ENDPOINT_URL_S3": relay.url}
            server.start()
            assert server.get("/readyz").json()["checks"]["storage"] == "ok"
            assert server.get("/readyz").json()["space"]["free"] is None
            browser = Browser(server)
            browser.sign_in("admin")
            assert b"no fixed size" in browser.request("GET", "/admin/").body
            wire = relay.port
        ready = server.get("/readyz")
        assert ready.status == 503
        assert "does not answer" in ready.json()["checks"]["storage"]
        assert str(wire) not in ready.body.decode()
        assert server.get("/healthz").status == 200
        with Relay(object_store.port, wire):
            assert server.put("clip.mp4", clip, user="alice").status == 201
            assert server.get("/readyz").status == 200
        done = server.manage("fsck", check=False)
        assert "The object store does not answer" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_of_many_parts_is_whole(
    server: Server, object_store: ObjectStore, long_film: Callable[[], LongFilm]
) -> None:
    film = long_film()
    made = server.put("long.mp4", film.path.read_bytes(), user="alice").json()
    found = {hashlib.sha256(content).hexdigest() for content in stored(server, object_store).values()}
    assert made["sha256"] == film.sha256
    assert film.sha256 in found
