"""Another account of the same machine reads nothing of ours; with MEDIA_GROUP, one group reads content and no more.

Where the tests run as root, a second account tries it. Elsewhere the modes are looked at, which decide the same.
"""

import grp
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import first_start
from tests.support.in_server import content as content_rows
from tests.support.in_server import startup
from tests.support.run import command_for
from tests.support.server import ROOT, Server, Template

pytestmark = pytest.mark.local_disk

Film = Callable[..., bytes]
NOBODY = 65534
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def home() -> Iterator[Path]:
    """Where other accounts can come: pytest's own folders are closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
def make_server(template: Template, home: Path) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(**settings: str) -> Server:
        server = Server(home, template.tokens, template.copy_to(home), settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.end()


def a_group() -> grp.struct_group:
    """One that we may give files to. Root gives them to any; others only to groups of their own."""
    mine = {os.getegid(), *os.getgroups()}
    groups = [group for group in grp.getgrall() if (group.gr_gid not in mine if IS_ROOT else group.gr_gid in mine)]
    return next(group for group in groups if group.gr_gid not in {0, NOBODY})


def can_read(path: Path, group: int = NOBODY) -> bool:
    """As the account nobody; in this group alone."""
    if not IS_ROOT:
        return all(_is_open(step, group) for step in (path, *path.parents))
    look = "ls" if path.is_dir() else "cat"
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={group}", "--clear-groups", look, str(path)]
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _is_open(path: Path, group: int) -> bool:
    found = path.stat()
    bit = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    return bool(found.st_mode & (bit << 3 if found.st_gid == group else bit))


def ours(server: Server) -> list[Path]:
    return [path for path in [server.home, *server.home.rglob("*")] if path.name != "server.log" and path.exists()]


def test_what_every_process_makes_is_its_accounts_alone(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.call(content_rows.forget_storage_identity)
    server.call(startup.forget_secret_key)
    server.ready.end()
    shutil.rmtree(server.home)  # a first start makes all of it
    server.home.mkdir(mode=0o700)
    server.call(first_start.prepare)
    server.start()
    server.start_worker()
    server.manage("backup", str(server.home / "backup"))
    modes = {path: path.stat().st_mode for path in ours(server)}
    assert {"backup", "media", "work"} < {path.name for path in modes}
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_a_start_closes_what_was_left_open(make_server: Callable[..., Server], film: Film) -> None:
    server = make_server()
    server.start()
    assert server.put("film.mp4", film()).status == 201
    [content] = server.local_files()
    for path in ours(server):
        path.chmod(0o755 if path.is_dir() else 0o644)
    secrets = [server.home, server.home / "secret_key", content, *server.home.glob("*.sqlite3*")]
    assert all(can_read(path) for path in secrets)
    server.call(first_start.prepare)
    assert not any(can_read(path) for path in secrets)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in server.home.iterdir() if path.is_file()}
    assert {name: mode for name, mode in modes.items() if mode != "0o600"}.keys() <= {"server.log"}
    assert {path.stat().st_mode & 0o777 for path in (server.home, server.media)} == {0o700}


def test_a_group_reads_content_and_nothing_else(make_server: Callable[..., Server], film: Film) -> None:
    group = a_group()
    server = make_server(MEDIA_GROUP=group.gr_name)
    server.call(first_start.prepare)
    server.start()
    assert server.put("film.mp4", film(seed=1)).status == 201
    [content] = server.local_files()
    assert can_read(content, group.gr_gid)
    assert not can_read(content)
    closed = [path for path in ours(server) if path.is_file() and path != content]
    assert {"secret_key", "start.lock"} < {path.name for path in closed}
    assert not [path for path in closed if can_read(path, group.gr_gid)]
    assert not [path for path in (server.home, server.media) if can_read(path, group.gr_gid) and IS_ROOT]  # no list


def test_files_of_before_are_opened_to_a_new_group_but_not_those_with_another_name(
    make_server: Callable[..., Server], film: Film
) -> None:
    group = a_group()
    server = make_server(ACCEPT="*")
    server.start()
    assert server.put("film.mp4", film(seed=1)).status == 201
    [content] = server.local_files()
    original = server.home.parent / "original.mp4"
    original.write_bytes(film(seed=2))
    original.chmod(0o604)
    server.manage("ingest", "--owner", "alice", "--link", str(original))
    server.settings["MEDIA_GROUP"] = str(group.gr_gid)
    server.call(first_start.prepare)
    assert can_read(content, group.gr_gid)
    assert stat.S_IMODE(original.stat().st_mode) == 0o604
    assert original.stat().st_nlink == 2

    server.manage("ingest", "--owner", "alice", "--move", str(original))  # it is in already, and ours from now on
    assert {stat.S_IMODE(path.stat().st_mode) for path in server.local_files()} == {0o640}

    del server.settings["MEDIA_GROUP"]
    server.call(first_start.prepare)
    assert not can_read(content, group.gr_gid)


def test_what_a_job_made_is_content_too(make_server: Callable[..., Server], film: Film, clip: bytes) -> None:
    group = a_group()
    server = make_server(MEDIA_GROUP=group.gr_name)
    server.call(first_start.prepare)
    server.start()
    server.start_worker()
    assert server.put("film.mp4", clip).status == 201
    [job] = server.get("/api/v1/jobs/", user="alice").json()["results"]
    assert server.get(f"/api/v1/jobs/{job['id']}/?wait=60", user="alice").json()["status"] == "succeeded"
    assert len(server.local_files()) == 2
    assert all(can_read(path, group.gr_gid) for path in server.local_files())


def test_an_unknown_group_stops_the_start_with_its_name(make_server: Callable[..., Server]) -> None:
    environment = make_server(MEDIA_GROUP="no-such-group").environment
    command = [sys.executable, "manage.py", "check"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "MILLRACE_MEDIA_GROUP='no-such-group' is not valid: there is no group no-such-group" in ended.stderr


@pytest.mark.skipif(not IS_ROOT, reason="only root can become an account that is in no group")
def test_a_group_that_the_account_is_no_member_of_stops_the_start(make_server: Callable[..., Server]) -> None:
    server = make_server(MEDIA_GROUP=a_group().gr_name)
    env = server.environment | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    command = command_for(startup.restrict_modes_as, NOBODY)
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert "ImproperlyConfigured: MILLRACE_MEDIA_GROUP: " in ended.stderr
    assert "a member of the group" in ended.stderr
