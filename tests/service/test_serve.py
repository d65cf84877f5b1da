"""`manage.py serve`, as a person starts it: first start, restarts, sudden death, and clear words when it cannot."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.admin_client import signed_in
from tests.support.films import sha256
from tests.support.in_server import accounts
from tests.support.processes import descendants, is_alive, kill
from tests.support.running_servers import StartServer
from tests.support.serve_process import MANAGE, Serve, alive
from tests.support.server import ROOT, Server, Template, drop_database, query, sql
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


@pytest.fixture
def serve(template: Template, tmp_path: Path) -> Iterator[Serve]:
    """A home as earlier starts left it: to make the tables takes longer than everything else. One slot will do."""
    made = Serve(tmp_path / "home", template.copy_to(tmp_path / "home"), {"SLOTS_BULK": "0", "SLOTS_HEAVY": "0"})
    yield made
    made.end()
    drop_database(made.database_url)


@contextmanager
def fresh(folder: Path, **settings: str) -> Iterator[Serve]:
    """No folder, no tables, no account."""
    base, database_url = os.environ.get("DATABASE_URL", ""), ""
    if base.startswith("postgres"):
        name = f"millrace_{uuid.uuid4().hex[:12]}"
        database_url = f"{base.rpartition('/')[0]}/{name}"
        sql(database_url, f'CREATE DATABASE "{name}"')
    made = Serve(folder / "home", database_url, {"SLOTS_BULK": "0", "SLOTS_HEAVY": "0", **settings})
    try:
        yield made
    finally:
        made.end()
        drop_database(database_url)
        shutil.rmtree(made.home, ignore_errors=True)


@dataclass
class Installed:
    """A home on which `serve` was started for the first time, what that said, and the password that it showed."""

    serve: Serve
    said: str
    password: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with fresh(tmp_path_factory.mktemp("installed")) as serve:
        serve.start()
        shown = PASSWORD.search(serve.output)
        assert shown is not None, serve.output
        yield Installed(serve, serve.output, shown[1])


@pytest.fixture
def running(installed: Installed) -> Serve:
    """That home's `serve`: the one that runs, if the test before has left it running."""
    if not installed.serve.is_running:
        installed.serve.end()
        installed.serve.start()
    return installed.serve


PASSWORD = re.compile(r"Sign in as admin with (\S+)")


def test_the_first_start_makes_everything_and_shows_the_password(installed: Installed, running: Serve) -> None:
    assert f"http://127.0.0.1:{running.port}/" in installed.said
    signed_in(Server(running.home, {}, port=running.port), "admin", installed.password)


def test_what_the_first_start_says_to_type_works(installed: Installed, running: Serve, clip: bytes) -> None:
    assert "/api/v1/upload/\n" in installed.said
    token = running.run("token", "admin").split()[-1]
    server = Server(running.home, {"admin": token}, port=running.port)
    answer = server.put("movie.mp4", clip, user="admin")
    assert (answer.status, answer.json()["sha256"]) == (201, sha256(clip))


def test_a_password_that_was_given_is_not_shown(serve: Serve) -> None:
    server = Server(serve.home, {}, serve.database_url)
    server.call(accounts.delete_all)  # so that the start makes the first one
    server.ready.end()
    serve.settings |= {"ADMIN_PASSWORD": "given and secret", "SLOTS_QUICK": "0"}
    serve.start()
    assert query(server, "SELECT username FROM auth_user") == [("admin",)]
    assert "Millrace on" in serve.output
    assert "given and secret" not in serve.output
    assert PASSWORD.search(serve.output) is None


def test_whatever_falls_is_started_again(running: Serve) -> None:
    kill_and_wait(running, "web worker")
    kill_and_wait(running, "web")
    before, after = kill_and_wait(running, "housekeeping")
    assert (after["web"], after["web worker"]) == (before["web"], before["web worker"])
    metrics = Server(running.home, {}, port=running.port).get("/metrics").body.decode()
    restarts = dict(re.findall(r'^millrace_process_restarts_total{name="(.*)"} (.*)$', metrics, re.MULTILINE))
    assert restarts == {"web": "1.0", "housekeeping": "1.0", "quick 1": "0.0"}


def kill_and_wait(serve: Serve, victim: str) -> tuple[dict[str, int], dict[str, int]]:
    """What ran before, and what runs when all are there again."""
    before = serve.tree()
    kill(before[victim])
    wait_until(lambda: serve.tree().get(victim, before[victim]) != before[victim], 30, lambda: serve.output)
    wait_until(serve.is_ready, 60, lambda: serve.output)
    wait_until(lambda: set(serve.tree()) == set(before), 30)
    assert not is_alive(before[victim])
    return before, serve.tree()


def test_kill_9_of_serve_takes_the_whole_tree_with_it(running: Serve) -> None:
    tree = descendants(running.pid)
    assert len(tree) >= 4, tree
    kill(running.pid)
    wait_until(lambda: not alive(tree), 20, lambda: tree)


def test_a_later_start_makes_nothing_and_shows_no_password(installed: Installed) -> None:
    serve = installed.serve
    server = Server(serve.home, {}, serve.database_url)
    made = "SELECT (SELECT count(*) FROM auth_user), (SELECT max(id) FROM django_migrations)"
    before = query(server, made)
    serve.end()
    serve.start()
    assert query(server, made) == before
    assert PASSWORD.search(serve.output) is None
    assert installed.password not in serve.output


def test_an_asked_for_end_waits_for_the_upload_on_its_way(running: Serve, film: Film) -> None:
    server = Server(running.home, {"admin": running.run("token", "admin").split()[-1]}, port=running.port)
    content = film(400_000)
    halfway = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield content[:100_000]
        for start in range(100_000, 400_000, 30_000):
            halfway.set()
            time.sleep(0.25)
            yield content[start : start + 30_000]

    answers = []
    length = {"Content-Length": str(len(content))}
    client = threading.Thread(target=lambda: answers.append(server.put("slow.mp4", slowly(), length, user="admin")))
    client.start()
    assert halfway.wait(30)
    _end_cleanly(running, signal.SIGTERM)
    client.join(60)
    assert [answer.status for answer in answers] == [201], running.output
    assert answers[0].json()["sha256"] == sha256(content)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port), timeout=2)


def test_ctrl_c_ends_it_as_cleanly(running: Serve) -> None:
    _end_cleanly(running, signal.SIGINT)


def _end_cleanly(serve: Serve, number: signal.Signals) -> None:
    assert serve.process is not None
    tree = descendants(serve.pid)
    serve.process.send_signal(number)
    assert serve.process.wait(60) == 0, serve.output
    assert "Traceback" not in serve.output
    assert not alive(tree)


@pytest.mark.parametrize("moment", [0.0, 0.7])
def test_kill_9_of_serve_while_its_children_are_starting_leaves_none_of_them(serve: Serve, moment: float) -> None:
    serve.start(ready=False)
    wait_until(lambda: len(descendants(serve.pid)) >= 2, 90)
    time.sleep(moment)
    serve.known = descendants(serve.pid)
    kill(serve.pid)
    time.sleep(0.2)
    # A process that has not yet bound its life to its parent finds the parent gone when it does, and ends, too.
    group = serve.known
    wait_until(lambda: not alive(group), 30, lambda: {pid: group[pid] for pid in alive(group)})


PARENT = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); print('started', flush=True); time.sleep(600)"


def test_with_parent_the_death_of_the_parent_takes_everything(serve: Serve) -> None:
    serve.settings |= {"SLOTS_QUICK": "0"}
    serve.start(sys.executable, "-c", PARENT, *MANAGE, "serve", "--with-parent")
    serve.known = tree = descendants(serve.pid)
    assert len(tree) >= 4, tree
    kill(serve.pid)
    wait_until(lambda: not alive(tree), 20, lambda: tree)


def test_without_it_serve_outlives_who_started_it(serve: Serve) -> None:
    serve.settings |= {"SLOTS_QUICK": "0"}
    serve.start(sys.executable, "-c", PARENT, *MANAGE, "serve")
    lasting = serve.tree().values()  # and not what workers run for a moment while they start
    kill(serve.pid)
    time.sleep(1)
    assert alive(serve.known) >= set(lasting)


def test_web_only_starts_the_web_server_alone(serve: Serve) -> None:
    serve.start(*MANAGE, "serve", "--web-only", ready=False)
    wait_until(serve.is_ready, 90, lambda: serve.output)
    wait_until(lambda: {"web", "web worker"} <= set(serve.tree()), 30)
    assert set(serve.tree()) == {"web", "web worker"}
    assert health(serve) == ""
    os.kill(serve.tree()["web worker"], signal.SIGSTOP)
    assert "the web server does not respond" in health(serve)


def health(serve: Serve) -> str:
    """What the health check of a container says."""
    command = [sys.executable, "-m", "config.processes.health_check"]
    done = subprocess.run(command, cwd=ROOT, env=serve.environment, capture_output=True, text=True)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def test_a_port_that_is_taken_ends_serve_with_words(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", serve.port))
        taken.listen()
        serve.start(ready=False)
        assert serve.process is not None
        assert serve.process.wait(60) == 1, serve.output
    assert f":{serve.port} cannot be used" in serve.output
    assert not descendants(serve.pid)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MILLRACE_TYPO", "1"),
        ("MILLRACE_PORT", "99999"),
        ("DATABASE_URL", "nonsense"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named(serve: Serve, variable: str, value: str) -> None:
    assert variable in serve.refusal(**{variable: value}).strip().splitlines()[-1]


@pytest.mark.local_disk
def test_serve_refuses_a_media_folder_that_is_not_the_one_it_knows(start_server: StartServer, clip: bytes) -> None:
    server = start_server()
    server.put("clip.mp4", clip)
    server.kill()
    server.media.rename(server.home / "unmounted")
    server.media.mkdir()  # as an empty mount point looks
    again = Serve(server.home, server.database_url, port=server.port)
    assert "The database lists files, but the store is empty and has no marker." in again.refusal()
    assert list(server.media.iterdir()) == []

    server.media.rmdir()
    (server.home / "unmounted").rename(server.media)
    server.start()
    assert server.get("/readyz").status == 200


@pytest.mark.local_disk
def test_a_running_server_whose_disk_goes_away_says_so_and_takes_nothing(
    start_server: StartServer, clip: bytes, film: Film
) -> None:
    server = start_server()
    file = server.put("clip.mp4", clip).json()
    server.media.rename(server.home / "unmounted")
    server.media.mkdir()
    assert server.get("/readyz").status == 503
    assert server.put("more.mp4", film()).code == "storage_unavailable"
    assert server.get(f"/api/v1/files/{file['id']}/content", user="alice").code == "content_unavailable"
    server.manage("housekeeping", "--now")
    assert list(server.media.iterdir()) == []
    server.media.rmdir()
    (server.home / "unmounted").rename(server.media)
    assert server.get(f"/api/v1/files/{file['id']}/content", user="alice").body == clip
    assert server.get("/readyz").status == 200


def test_a_token_is_the_last_word_and_works(shared_server: Server) -> None:
    said = shared_server.manage("token", "alice", "--name", "a script").stdout
    shared_server.tokens = shared_server.tokens | {"scripted": said.split()[-1]}
    assert shared_server.get("/api/v1/files/", user="scripted").status == 200


def test_a_token_for_nobody_is_refused_in_words(shared_server: Server) -> None:
    done = shared_server.manage("token", "nobody", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no account “nobody”" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_running_server_holds_the_lock_that_a_restore_needs(shared_server: Server) -> None:
    with (shared_server.home / "serve.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
