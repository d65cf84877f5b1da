"""Many rounds of two clients at once on the same bytes: no error, one Blob or none, nothing dangling."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.films import sha256
from tests.support.in_server import content as content_rows
from tests.support.repetitions import MORE
from tests.support.running_servers import running_pair
from tests.support.server import Answer, Server, Template

Film = Callable[..., bytes]
Pool = ThreadPoolExecutor
ROUNDS = 20 * MORE
SIZE = 70_000


@pytest.fixture
def servers(template: Template, tmp_path: Path) -> Iterator[list[Server]]:
    with running_pair(template, tmp_path) as both:
        yield both


@pytest.fixture(params=["one server", "two servers"])
def pair(request: pytest.FixtureRequest, servers: list[Server]) -> list[Server]:
    """Where the first and the second client of a race go to."""
    return servers if request.param == "two servers" else [servers[0], servers[0]]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with ThreadPoolExecutor(4) as made:
        yield made


def at_once(pool: Pool, *deeds: Callable[[], Answer]) -> list[Answer]:
    barrier = threading.Barrier(len(deeds))

    def run(deed: Callable[[], Answer]) -> Answer:
        barrier.wait()
        return deed()

    return list(pool.map(run, deeds))


def assert_all_is_well(server: Server, files: dict[str, bytes]) -> None:
    """`files` are all there are, by id; each is one Blob with its bytes, and there are no other bytes."""
    found = server.call(content_rows.all_content)
    assert (found["not stored"], found["unused"], found["unfinished"]) == (0, 0, 0)
    assert found["files"] == sorted(files)
    assert found["contents"] == sorted({sha256(content) for content in files.values()})
    assert found["keys"] == sorted(path.name for path in server.stored_bytes())
    for pk, content in files.items():
        assert_comes_back(server, pk, content)
    assert server.manage("fsck", "--deep", "--grace", "0").returncode == 0


def assert_comes_back(server: Server, pk: str, content: bytes) -> None:
    answer = server.get(f"/api/v1/files/{pk}/content", user="alice")
    assert (answer.status, sha256(answer.body)) == (200, sha256(content)), answer


def put(server: Server, content: bytes, user: str = "alice") -> Answer:
    return server.put("race.mp4", content, user=user)


def delete(server: Server, pk: str) -> Answer:
    return server.request("DELETE", f"/api/v1/files/{pk}/")


def test_two_uploads_of_the_same_bytes_at_once_share_one_blob(pair: list[Server], pool: Pool, film: Film) -> None:
    files: dict[str, bytes] = {}
    for _ in range(ROUNDS):
        content = film(SIZE)
        answers = at_once(pool, partial(put, pair[0], content), partial(put, pair[1], content))
        assert [answer.status for answer in answers] == [201, 201], answers
        files |= {answer.json()["id"]: content for answer in answers}
    assert len(files) == 2 * ROUNDS
    assert_all_is_well(pair[0], files)


def test_an_upload_racing_the_deletion_of_its_twin_comes_out_whole(
    pair: list[Server], pool: Pool, film: Film
) -> None:
    content, files = film(SIZE), {}
    pk = put(pair[0], content).json()["id"]
    for _ in range(ROUNDS):
        deleted, uploaded = at_once(pool, partial(delete, pair[0], pk), partial(put, pair[1], content))
        assert (deleted.status, uploaded.status) == (204, 201), (deleted, uploaded)
        pk = uploaded.json()["id"]
        assert_comes_back(pair[0], pk, content)
        files = {pk: content}
    assert_all_is_well(pair[0], files)


def test_two_deletions_of_one_file_racing_an_upload_of_its_bytes_end_well(
    pair: list[Server], pool: Pool, film: Film
) -> None:
    content = film(SIZE)
    pk = put(pair[0], content).json()["id"]
    for _ in range(ROUNDS // 2):
        *deleted, uploaded = at_once(
            pool,
            partial(delete, pair[0], pk),
            partial(delete, pair[1], pk),
            partial(put, pair[1], content),
        )
        assert {answer.status for answer in deleted} <= {204, 404}, deleted
        assert uploaded.status == 201, uploaded
        pk = uploaded.json()["id"]
        assert_comes_back(pair[1], pk, content)
    assert delete(pair[0], pk).status == 204
    assert_all_is_well(pair[0], {})


def test_the_two_last_files_of_a_blob_deleted_at_once_take_its_bytes_with_them(
    pair: list[Server], pool: Pool, film: Film
) -> None:
    for _ in range(ROUNDS // 2):
        content = film(SIZE)
        one, two = (put(pair[0], content).json()["id"] for _ in range(2))
        answers = at_once(pool, partial(delete, pair[0], one), partial(delete, pair[1], two))
        assert [answer.status for answer in answers] == [204, 204], answers
    assert_all_is_well(pair[0], {})
