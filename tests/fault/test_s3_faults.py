"""An S3 store, the network to it, or a process that writes to it fails in the middle of an upload.

Each time the upload is whole or absent, and after the chores nothing else is left in the store or in the tables.
"""

import contextlib
import http.client
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.in_server import open_writes, partial_uploads
from tests.support.killable_server import MortalServer
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from tests.support.processes import children
from tests.support.server import Answer, Server, Template, query
from tests.support.stored_objects import objects, open_uploads
from tests.support.tus_client import Client
from uploads.sinks.crash_points import Step

Film = Callable[..., bytes]
MB = 1024**2
SIZE = 9 * MB  # two parts, the second of which is small
OF_PARTS = [Step.MULTIPART_BEGUN, Step.PART_SENT]
OF_COMPLETION = [Step.SYNCED, Step.LINKED, Step.STORED]
CUT = 3.0  # seconds; the rule by which a request is repeated is the same for 45


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One that may be stopped."""
    found = ObjectStore(tmp_path_factory.mktemp("objects"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def relay(store: ObjectStore) -> Iterator[Relay]:
    with Relay(store.port) as found:
        yield found


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, store: ObjectStore, relay: Relay
) -> Iterator[MortalServer]:
    home = tmp_path_factory.mktemp("mortal") / "home"
    mortal = MortalServer(
        home, template.tokens, template.copy_to(home), config="tests.support.gunicorn_configs.killed_at_a_step"
    )
    mortal.alone = True
    mortal.use_bucket(store)
    mortal.variables = mortal.variables | {"AWS_ENDPOINT_URL_S3": relay.url}
    mortal.start()
    yield mortal
    mortal.end()


@pytest.fixture
def client(server: MortalServer) -> Client:
    return Client(server)


def answer_of(send: Callable[[], Answer]) -> Answer | None:
    """None when the server died before it answered."""
    try:
        return send()
    except (OSError, http.client.HTTPException):
        return None


def clean_up(server: Server) -> int:
    """Run the chores as if hours had passed. Returns the number of uploads that can be continued."""
    return int(server.call(open_writes.clean_up_hours_later)["receiving"])


def assert_nothing_else_is_left(server: Server, store: ObjectStore) -> None:
    bucket = server.settings["STORAGE"].split("/")[2]
    keys = sorted(key for [key] in query(server, "SELECT key FROM uploads_blob WHERE state = 'stored'"))
    assert [found.name for found in objects(store, bucket, "media/content/")] == keys
    assert (objects(store, bucket, "media/partial/"), open_uploads(store, bucket, "media/")) == ([], [])
    for rows in ("uploads_openwrite", "uploads_openpart", "uploads_blob WHERE state <> 'stored'"):
        assert query(server, f"SELECT count(*) FROM {rows}") == [(0,)]  # noqa: S608  # a constant


def files_named(server: Server, name: str) -> int:
    return len(server.get(f"/api/v1/files/?q={name}", user="alice").json()["results"])


# A process is killed


@pytest.mark.parametrize("step", [*OF_PARTS, *OF_COMPLETION])
def test_an_upload_in_one_request_whose_process_is_killed_is_whole_or_absent(
    server: MortalServer, store: ObjectStore, film: Film, step: Step
) -> None:
    content, name = film(SIZE), f"put-{step}.mp4"
    server.die_at(step)
    assert answer_of(lambda: server.put(name, content)) is None
    assert not server.is_alive_at()
    assert clean_up(server) == 0
    assert_nothing_else_is_left(server, store)
    assert files_named(server, name) == (step == Step.STORED)


@pytest.mark.parametrize("step", [*OF_PARTS, Step.PARTS_RECORDED, *OF_COMPLETION])
def test_a_resumable_upload_whose_process_is_killed_goes_on(
    server: MortalServer, client: Client, store: ObjectStore, film: Film, step: Step
) -> None:
    content = film(SIZE)
    path = client.new(SIZE)
    server.die_at(step)
    assert answer_of(lambda: client.patch(path, 0, content)) is None
    assert not server.is_alive_at()
    assert clean_up(server) == (step != Step.STORED)  # and keep what the client can go on from
    start = client.finish(path, content)
    assert (start == SIZE, start == 0) == (step in {Step.LINKED, Step.STORED}, step in OF_PARTS)
    assert_nothing_else_is_left(server, store)


def test_a_resumable_upload_whose_process_is_killed_and_whose_client_stays_away_leaves_nothing(
    server: MortalServer, client: Client, store: ObjectStore, film: Film
) -> None:
    content = film(SIZE)
    for _ in range(2):  # the second one begins where parts and a tail are
        path = client.new(SIZE)
        assert client.patch(path, 0, content[: 2 * MB]).status == 204
        server.die_at(Step.PARTS_RECORDED)
        assert answer_of(lambda path=path: client.patch(path, 2 * MB, content[2 * MB :])) is None  # type: ignore[misc]
    assert clean_up(server) == 2
    for _ in range(2):  # at first it has more bytes than its row says, and counts as continued
        server.call(partial_uploads.expire_a_week_later)
    assert clean_up(server) == 0
    assert_nothing_else_is_left(server, store)


# A process is frozen


@pytest.mark.parametrize("late", [0, MB], ids=["in the middle", "before its last bytes"])
def test_a_frozen_holder_that_was_replaced_changes_nothing_when_it_thaws(
    server: MortalServer, client: Client, store: ObjectStore, film: Film, late: int
) -> None:
    """`late`: the number of last bytes that wait for it. With them it tries to complete the upload."""
    content = film(SIZE + 100_000)
    path = client.new(len(content))
    with another(server) as host, client.sending(path, content[:SIZE], more=100_000) as line:
        with frozen(server):
            if late:
                line.send(content[SIZE:])
            server.call(open_writes.end_leases)
            Client(host).finish(path, content)
        assert line.was_refused() or late
        assert Client(host).is_complete(path, content)
    assert clean_up(server) == 0
    assert_nothing_else_is_left(server, store)


@contextmanager
def another(server: Server) -> Iterator[Server]:
    """Another host on the same database and store."""
    host = Server(server.home, server.tokens, server.database_url, server.settings, variables=server.variables)
    try:
        host.start()
        yield host
    finally:
        host.kill()
        host.ready.end()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """At a moment when it holds no lock of the database, which would freeze the other host, too."""
    [worker] = children(server.pid)
    os.kill(worker, signal.SIGSTOP)
    try:
        while holds_lock(server):
            os.kill(worker, signal.SIGCONT)
            time.sleep(0.01)
            os.kill(worker, signal.SIGSTOP)
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def holds_lock(server: Server) -> bool:
    if server.database_url:
        writing = (
            "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE mode = 'RowExclusiveLock'"
        )
        return bool(query(server, f"{writing} AND datname = current_database()"))
    [database] = server.home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(database, timeout=0.2)) as lite:
        try:
            lite.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


# The store cannot be reached


def test_uploads_survive_a_cut_and_a_restart_of_the_store(
    server: MortalServer, client: Client, store: ObjectStore, relay: Relay, film: Film
) -> None:
    for trouble in (lambda: cut(relay), lambda: restart(store)):
        one, other = film(SIZE), film(SIZE)
        path = client.new(SIZE)
        assert client.patch(path, 0, other[: 2 * MB]).status == 204
        relay.do_at(relay.sent + 4 * MB, trouble)
        with ThreadPoolExecutor() as threads:
            put = threads.submit(server.put, "cut.mp4", one)
            patch = threads.submit(client.patch, path, 2 * MB, other[2 * MB :])
            assert (put.result().status, patch.result().status) == (201, 204)
        assert client.is_complete(path, other)
        assert server.get(f"/api/v1/files/{put.result().json()['id']}/content", user="alice").body == one
    assert clean_up(server) == 0
    assert_nothing_else_is_left(server, store)


def cut(relay: Relay) -> None:
    relay.go_away()
    time.sleep(CUT)
    relay.is_away = False


def restart(store: ObjectStore) -> None:
    store.kill()
    store.start()
