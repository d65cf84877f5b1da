"""`manage.py move-storage` beside a server that goes on: from disk to bucket, bucket to bucket, bucket to disk."""

import hashlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.in_server import content
from tests.support.object_store import ObjectStore
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.tus_client import Client
from tests.support.waiting import wait_until

pytestmark = pytest.mark.local_disk  # it begins on one

Film = Callable[..., bytes]
FILES = 30


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore
) -> Iterator[Server]:
    """Its new bytes go to the disk, and it has two more stores."""
    bucket = object_store.make_bucket()
    others = [f"s3://{bucket}/{name}" for name in ("one", "two")]
    with running(template, tmp_path_factory, OTHER_STORAGE=",".join(others)) as found:
        found.variables = object_store.environment
        found.call_by_name("tests.support.in_server.startup", "claim_the_stores")
        found.restart()
        yield found


@pytest.fixture(scope="module")
def buckets(server: Server) -> list[str]:
    return server.settings["OTHER_STORAGE"].split(",")


@dataclass
class Downloads:
    """Downloads files at random, whole or in part, until it is told to stop. Keeps what went wrong."""

    server: Server
    files: dict[str, bytes]  # content by id
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    def check(self, pk: str) -> None:
        expected, start = self.files[pk], random.choice([0, 1000])
        ranged = {"Range": f"bytes={start}-"} if start else {}
        answer = self.server.get(f"/api/v1/files/{pk}/content", ranged, user="alice")
        if (answer.status, answer.body) != (206 if start else 200, expected[start:]):
            self.wrong.append(f"{pk} from {start}: {answer.status}, {len(answer.body)} bytes")
        self.count += 1

    def check_all(self) -> None:
        for pk in self.files:
            self.check(pk)
        assert self.wrong == []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        over = threading.Event()

        def go_on() -> None:
            while not over.wait(0.2):  # without a pause they would take most of the processor
                self.check(random.choice(list(self.files)))

        threads = [threading.Thread(target=go_on) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


def put_many(server: Server, film: Film, number: int, size: int = 20_000) -> dict[str, bytes]:
    contents = [film(size) for _ in range(number)]
    return {server.put(f"film-{n}.mp4", each).json()["id"]: each for n, each in enumerate(contents)}


def blobs_in(server: Server, store: str) -> int:
    """How many contents are stored there, without claims of those that are just being copied."""
    statement = f"SELECT count(*) FROM uploads_blob WHERE sink = '{store}' AND state <> 'storing'"  # noqa: S608
    return int(query(server, statement)[0][0])


def kill_in_the_middle(server: Server, source: str, target: str) -> None:
    process = server.run_beside("move-storage", source, target, "--keep", "0", "--limit-rate", "400kB")
    wait_until(lambda: blobs_in(server, target) >= FILES // 3, 60, lambda: server.log)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    server.helpers.remove(process)
    assert blobs_in(server, source) > 0


def assert_store_and_rows_agree(server: Server) -> None:
    stores = server.call(content.keys_of_stores)
    for store, keys in stores.items():
        assert keys["there"] == keys["in rows"], store


def move_all(server: Server, source: str, target: str) -> str:
    said = server.manage("move-storage", source, target, "--keep", "0").stdout
    server.manage("housekeeping", "--now")
    assert blobs_in(server, source) == 0
    assert_store_and_rows_agree(server)
    return said


def test_a_thousandth_day_moves_to_a_bucket_and_on_and_back_while_all_files_are_downloaded(
    server: Server, buckets: list[str], film: Film
) -> None:
    one, two = buckets
    files = put_many(server, film, FILES) | put_many(server, film, 2, 9_000_000)
    twin = server.put("twin.mp4", next(iter(files.values())), user="bob").json()
    arriving = film()
    client = Client(server)
    upload = client.new(len(arriving))
    client.patch(upload, 0, arriving[:100_000])
    downloads = Downloads(server, files)

    said = server.manage("move-storage", "local", one, "--dry-run").stdout
    assert f"{FILES + 2} contents" in said
    with downloads.going_on():
        kill_in_the_middle(server, "local", one)
        said = move_all(server, "local", one)
        assert "1 uploads are still arriving in local" in said
        downloads.check_all()

        kill_in_the_middle(server, one, two)
        move_all(server, one, two)
        downloads.check_all()

        client.finish(upload, arriving)
        kill_in_the_middle(server, two, "local")
        move_all(server, two, "local")
    downloads.check_all()
    assert downloads.count > 3 * FILES
    assert blobs_in(server, "local") == FILES + 3
    answer = server.get(f"/api/v1/files/{twin['id']}/content", user="bob")
    assert hashlib.sha256(answer.body).hexdigest() == twin["sha256"]
    assert "no problems found" in server.manage("fsck", "--deep").stdout


def test_a_damaged_file_is_named_and_left_and_the_others_are_moved(
    server: Server, buckets: list[str], film: Film
) -> None:
    first, second = (server.put(name, film()).json() for name in ("damaged.mp4", "sound.mp4"))
    key = server.call(content.key_of_file, first["id"])
    path = server.media / key[:2] / key
    path.write_bytes(bytes(path.stat().st_size))
    done = server.manage("move-storage", "local", buckets[0], "--keep", "0", check=False)
    assert done.returncode == 1
    assert "damaged.mp4): bytes are damaged" in done.stderr
    assert "1 contents could not be moved and are left in local" in done.stderr
    assert [server.call(content.store_of, file["id"]) for file in (first, second)] == ["local", buckets[0]]


def test_ctrl_c_stops_after_the_current_files_and_says_how_to_continue(
    server: Server, buckets: list[str], film: Film
) -> None:
    put_many(server, film, 10)
    before, claims = blobs_in(server, buckets[1]), server.call(content.claims_of, buckets[1])
    process = server.run_beside("move-storage", "local", buckets[1], "--parallel", "1", "--limit-rate", "20kB")
    wait_until(lambda: blobs_in(server, buckets[1]) > before, 60, lambda: server.log)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    server.helpers.remove(process)
    assert "Run it again to continue" in server.log
    assert blobs_in(server, "local") > 0
    assert server.call(content.claims_of, buckets[1]) == claims  # none that is new
