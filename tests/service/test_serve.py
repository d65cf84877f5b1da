"""`manage.py serve`, as a person starts it: first start, restarts, sudden death, and clear words when it cannot."""

import contextlib
import fcntl
import http.client
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
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import StartServer, sha256
from tests.server import ROOT, Server, Template, drop_database, environment, free_port, sql
from tests.waiting import wait_until

Film = Callable[..., bytes]
MANAGE = [sys.executable, str(ROOT / "manage.py")]


def processes() -> dict[int, tuple[int, str]]:
    """Every living process: pid -> (parent, command)."""
    said = subprocess.run(
        ["ps", "-axww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(None, 3) for line in said.splitlines())
    return {int(row[0]): (int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")}


def descendants(pid: int) -> dict[int, str]:
    living = processes()
    found: dict[int, str] = {}
    below = {pid}
    while below := {child for child, (parent, _) in living.items() if parent in below}:
        found |= {child: living[child][1] for child in below}
    return found


def any_of(pids: dict[int, str]) -> set[int]:
    return set(pids) & set(processes())


@dataclass
class Serve:
    """One home on which `serve` is started, again and again."""

    home: Path
    database_url: str
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    known: dict[int, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.home, self.database_url, PORT=str(self.port), **self.settings)

    @property
    def output(self) -> str:
        return self.home.with_suffix(".log").read_text()

    def start(self, *command: str, ready: bool = True) -> None:
        """With a log of its own: `output` is what this start said."""
        with self.home.with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen(
                command or [*MANAGE, "serve"], cwd=ROOT, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if ready:
            wait_until(self.is_ready, 90, lambda: self.output)
            wait_until(lambda: {"web", "worker", "housekeeping"} == set(self.tree()), 30)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False

    def tree(self) -> dict[str, int]:
        """Name -> pid of what runs below this process."""
        assert self.process is not None
        found = descendants(self.process.pid)
        self.known |= found
        gunicorns = [pid for pid, command in found.items() if "gunicorn" in command]
        parents = {pid: processes().get(pid, (0, ""))[0] for pid in gunicorns}
        named = {"worker" if parents[pid] in gunicorns else "web": pid for pid in gunicorns}
        for pid, command in found.items():
            if command.endswith("manage.py housekeeping"):
                named["housekeeping"] = pid
        return named

    def refusal(self, **settings: str) -> str:
        """What `serve` says when it will not start."""
        done = subprocess.run(
            [*MANAGE, "serve"], cwd=ROOT, env=self.environment | settings, capture_output=True, text=True, timeout=60
        )
        assert done.returncode != 0
        return done.stdout + done.stderr

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.tree()
            self.process.kill()
        for pid in any_of(self.known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


@pytest.fixture
def serve(template: Template, tmp_path: Path) -> Iterator[Serve]:
    """A home as earlier starts left it: to make the tables takes longer than everything else. One worker will do."""
    made = Serve(tmp_path / "home", template.copy_to(tmp_path / "home"), {"SLOTS_HEAVY": "0"})
    yield made
    made.end()
    drop_database(made.database_url)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Serve]:
    """A fresh home: no folder, no tables, no account."""
    base, database_url = os.environ.get("DATABASE_URL", ""), ""
    if base.startswith("postgres"):
        name = f"millrace_{uuid.uuid4().hex[:12]}"
        database_url = f"{base.rpartition('/')[0]}/{name}"
        sql(database_url, f'CREATE DATABASE "{name}"')
    made = Serve(tmp_path / "home", database_url)
    yield made
    made.end()
    drop_database(database_url)
    shutil.rmtree(made.home, ignore_errors=True)


PASSWORD = re.compile(r"Sign in as admin with (\S+)")


def test_the_first_start_makes_everything_and_only_it_shows_the_password(fresh: Serve) -> None:
    fresh.start()
    shown = PASSWORD.search(fresh.output)
    assert shown is not None, fresh.output
    assert f"http://127.0.0.1:{fresh.port}/" in fresh.output
    code = (
        f"from django.contrib.auth import authenticate; print(authenticate(username='admin', password='{shown[1]}'))"
    )
    said = subprocess.run([*MANAGE, "shell", "-v0", "-c", code], cwd=ROOT, env=fresh.environment, capture_output=True)
    assert said.stdout.strip() == b"admin"
    fresh.end()

    began = time.monotonic()
    fresh.start()
    assert time.monotonic() - began < 40  # some seconds, on a machine that is not busy with tests
    assert PASSWORD.search(fresh.output) is None
    assert shown[1] not in fresh.output


def test_a_password_that_was_given_is_not_shown(fresh: Serve) -> None:
    with fresh.home.with_suffix(".log").open("wb") as log:
        environ = fresh.environment | {"MILLRACE_ADMIN_PASSWORD": "given and secret"}
        fresh.process = subprocess.Popen(
            [*MANAGE, "serve"], cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
        )
    wait_until(fresh.is_ready, 90)
    fresh.tree()
    assert "Millrace on" in fresh.output
    assert "given and secret" not in fresh.output
    assert PASSWORD.search(fresh.output) is None


def test_what_the_first_start_says_to_type_works(fresh: Serve, clip: bytes, tmp_path: Path) -> None:
    fresh.start()
    said = subprocess.run(
        [*MANAGE, "token", "admin"], cwd=ROOT, env=fresh.environment, capture_output=True, text=True
    )
    token = said.stdout.split()[-1]
    assert "/api/v1/upload/\n" in fresh.output
    server = Server(fresh.home, {"admin": token}, port=fresh.port)
    answer = server.put("movie.mp4", clip, user="admin")
    assert (answer.status, answer.json()["sha256"]) == (201, sha256(clip))


def test_kill_9_of_serve_takes_the_whole_tree_with_it(serve: Serve) -> None:
    serve.start()
    tree = descendants(serve.process.pid)  # type: ignore[union-attr]
    assert len(tree) >= 3, tree
    serve.process.kill()  # type: ignore[union-attr]
    wait_until(lambda: not any_of(tree), 20, lambda: tree)


@pytest.mark.parametrize("moment", [0.0, 0.15, 0.3, 0.6, 1.0])
def test_kill_9_of_serve_while_its_children_are_starting_leaves_none_of_them(serve: Serve, moment: float) -> None:
    serve.start(ready=False)
    assert serve.process is not None
    pid = serve.process.pid
    wait_until(lambda: len(descendants(pid)) >= 2, 90)
    time.sleep(moment)
    serve.known = descendants(pid)
    serve.process.kill()
    time.sleep(0.2)
    # Whoever had not come so far as to hold on to its parent finds it gone when it does, and goes too.
    group = serve.known
    wait_until(lambda: not any_of(group), 30, lambda: {pid: group[pid] for pid in any_of(group)})


PARENT = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); print('started', flush=True); time.sleep(600)"


def test_with_parent_the_death_of_the_parent_takes_everything(serve: Serve) -> None:
    serve.start(sys.executable, "-c", PARENT, *MANAGE, "serve", "--with-parent", ready=False)
    assert serve.process is not None
    pid = serve.process.pid
    wait_until(serve.is_ready, 90)
    wait_until(lambda: len(descendants(pid)) >= 4, 30)
    serve.known = tree = descendants(pid)
    serve.process.kill()
    wait_until(lambda: not any_of(tree), 20, lambda: tree)


def test_without_it_serve_outlives_who_started_it(serve: Serve) -> None:
    serve.start(sys.executable, "-c", PARENT, *MANAGE, "serve", ready=False)
    assert serve.process is not None
    wait_until(serve.is_ready, 90)
    wait_until(lambda: len(serve.tree()) == 3, 30)
    lasting = set(serve.tree().values())  # and not what workers run for a moment while they start
    serve.process.kill()
    time.sleep(1)
    assert any_of(serve.known) >= lasting


def test_an_asked_for_end_waits_for_the_upload_on_its_way(serve: Serve, film: Film) -> None:
    serve.start()
    assert serve.process is not None
    token = subprocess.run(
        [*MANAGE, "token", "admin"], cwd=ROOT, env=serve.environment, capture_output=True, text=True
    ).stdout.split()[-1]
    server = Server(serve.home, {"admin": token}, port=serve.port)
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
    tree = descendants(serve.process.pid)
    serve.process.terminate()
    client.join(60)
    assert [answer.status for answer in answers] == [201], serve.output
    assert answers[0].json()["sha256"] == sha256(content)
    assert serve.process.wait(40) == 0, serve.output
    assert not any_of(tree)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", serve.port), timeout=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_asked_for_end_without_uploads_is_quick_and_clean(serve: Serve, number: signal.Signals) -> None:
    serve.start()
    assert serve.process is not None
    tree = descendants(serve.process.pid)
    serve.process.send_signal(number)
    assert serve.process.wait(40) == 0, serve.output
    assert "Traceback" not in serve.output
    assert not any_of(tree)


def kill_and_wait(serve: Serve, victim: str) -> tuple[dict[str, int], dict[str, int]]:
    """What ran before, and what runs when all are there again."""
    before = serve.tree()
    os.kill(before[victim], signal.SIGKILL)
    wait_until(lambda: serve.tree().get(victim, before[victim]) != before[victim], 30, lambda: serve.output)
    wait_until(serve.is_ready, 60, lambda: serve.output)
    wait_until(lambda: set(serve.tree()) == set(before), 30)
    assert before[victim] not in processes()
    return before, serve.tree()


def test_whatever_falls_is_started_again(serve: Serve) -> None:
    serve.start()
    kill_and_wait(serve, "worker")
    kill_and_wait(serve, "web")
    before, after = kill_and_wait(serve, "housekeeping")
    assert (after["web"], after["worker"]) == (before["web"], before["worker"])
    metrics = Server(serve.home, {}, port=serve.port).get("/metrics").body.decode()
    restarts = dict(re.findall(r'^millrace_process_restarts_total{name="(.*)"} (.*)$', metrics, re.MULTILINE))
    assert restarts == {"web": "1.0", "housekeeping": "1.0", "quick 1": "0.0"}


def test_a_port_that_is_taken_ends_serve_with_words(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", serve.port))
        taken.listen()
        serve.start(ready=False)
        assert serve.process is not None
        assert serve.process.wait(60) == 1, serve.output
    assert f":{serve.port} cannot be used" in serve.output
    assert not descendants(serve.process.pid)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MILLRACE_MAX_FILE_SIZE", "many"),
        ("MILLRACE_TYPO", "1"),
        ("MILLRACE_PORT", "0"),
        ("MILLRACE_PORT", "99999"),
        ("MILLRACE_ACCEPT", "films"),
        ("MILLRACE_UPLOAD_IDLE_TIMEOUT", "soon"),
        ("MILLRACE_DEBUG", "perhaps"),
        ("MILLRACE_PUBLIC_URL", "media.example.org"),
        ("DATABASE_URL", "nonsense"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named(serve: Serve, variable: str, value: str) -> None:
    assert variable in serve.refusal(**{variable: value}).strip().splitlines()[-1]


def test_serve_refuses_a_media_folder_that_is_not_the_one_it_knows(start_server: StartServer, clip: bytes) -> None:
    server = start_server()
    server.put("clip.mp4", clip)
    server.kill()
    server.media.rename(server.home / "unmounted")
    server.media.mkdir()  # as an empty mount point looks
    again = Serve(server.home, server.database_url, port=server.port)
    assert "The database knows files, but the store is empty and has no marker." in again.refusal()
    assert list(server.media.iterdir()) == []

    server.media.rmdir()
    (server.home / "unmounted").rename(server.media)
    server.start()
    assert server.get("/readyz").status == 200


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
