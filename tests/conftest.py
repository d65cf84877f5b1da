"""Fixtures for all tests. Nothing is faked: `server` is gunicorn, `clip` is a real film."""

import functools
import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import botocore.session
import imageio_ffmpeg
import pytest
from django.db import connection
from hypothesis import HealthCheck, settings

from tests.support import media_samples, outside_services
from tests.support.failing_brokers import OwnRedis
from tests.support.films import UNDISTURBED, FilmShelf, LongFilm
from tests.support.object_store import ObjectStore
from tests.support.recording_relay import RecordingRelay
from tests.support.repetitions import MORE
from tests.support.running_servers import StartServer, running
from tests.support.server import Server, Template, drop_database, make_tables, make_template
from tests.support.shared_process import Facts, end_shared, shared
from tests.support.tus_client import Client
from uploads.sinks import crash_points
from uploads.sinks.crash_points import Step

# How long a busy machine takes to think of an example, or to try it, is nobody's fault.
settings.register_profile(
    "patient", max_examples=40 * MORE, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("patient")
# botocore reads its description of S3 anew for each session: 13 MB and a fifth of a second, in hundreds of tests.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
# Keep the bytecode of our modules even where the environment forbids it: each server would compile them all again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
NO_SKIP = "TESTS_NO_SKIP"  # set by .ci/run: there everything a test needs is installed


def pytest_xdist_auto_num_workers() -> int:
    """At any moment about half of the tests wait. A database server has connections for fewer tests at a time."""
    per_core = 1.5 if os.environ.get("DATABASE_URL") else 2
    return max(1, int((os.cpu_count() or 1) * per_core))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    report = yield
    if os.environ.get(NO_SKIP) and report.skipped:  # type: ignore[attr-defined]
        report.outcome = "failed"  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _uses_database(item):
            item.add_marker("database")
    if outside_services.is_on_s3():
        local = [item for item in items if item.get_closest_marker("local_disk")]
        config.hook.pytest_deselected(items=local)
        items[:] = [item for item in items if item not in local]


def _uses_database(item: pytest.Item) -> bool:
    """Those of units and media do where they ask for one, or for a server; pytest-django forbids it to the others."""
    if not item.nodeid.startswith(("tests/unit/", "tests/media/")):
        return True
    asked = {"template", "db", "transactional_db"}.intersection(getattr(item, "fixturenames", ()))
    return bool(asked) or item.get_closest_marker("django_db") is not None


@pytest.fixture(scope="session")
def tables(of_all_workers: Path) -> Iterator[Path]:
    """An SQLite database without rows. One process of the run makes it, all copy it."""
    home = of_all_workers / "tables"
    with shared(of_all_workers / "tables.json", lambda: {"path": str(make_tables(home))}, lambda _: None) as facts:
        yield Path(facts["path"])


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Whether tests find a database that has its tables already. The file goes with the home of tests/settings.py."""
    return _shares_tables()


def _shares_tables() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ and connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, request: pytest.FixtureRequest) -> None:
    if _shares_tables():
        shutil.copyfile(request.getfixturevalue("tables"), connection.settings_dict["TEST"]["NAME"])


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests with transactions of their own empty all tables that Django knows.

    It does not know knox's table of tokens, as our model replaces knox's, and PostgreSQL empties no table that
    another one refers to.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS knox_authtoken")


@pytest.fixture(scope="session")
def template(of_all_workers: Path, request: pytest.FixtureRequest) -> Iterator[Template]:
    """One for all processes of the run."""
    home = of_all_workers / "template"
    if _shares_tables():
        request.getfixturevalue("tables")

    def make() -> Facts:
        if _shares_tables():
            shutil.copytree(of_all_workers / "tables", home)
        made = make_template(home, os.environ.get("DATABASE_URL", ""))
        return {"tokens": made.tokens, "database_url": made.database_url}

    def drop(facts: Facts) -> None:
        drop_database(facts["database_url"])
        shutil.rmtree(home)

    with shared(of_all_workers / "template.json", make, drop) as facts:
        yield Template(home, facts["tokens"], facts["database_url"])


@pytest.fixture(scope="session")
def shared_server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only use it. They must not count what else is on it."""
    with running(template, tmp_path_factory, MAX_FILE_SIZE="64MiB") as server:
        yield server


@pytest.fixture(scope="session")
def quick_server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with a worker of the quick lane, for all tests that do not count what else is on it."""
    with running(template, tmp_path_factory) as server:
        server.start_worker("quick")
        yield server


@pytest.fixture
def start_server(template: Template, tmp_path: Path) -> Iterator[StartServer]:
    """Start servers of one's own: `start_server(QUOTA="1MB")`. `config` names a module of gunicorn_configs/."""
    started: list[Server] = []

    def start(
        *,
        config: str = "config.web_server.gunicorn_config",
        wrapper: list[str] | None = None,
        broker_url: str | None = None,
        cache_url: str | None = None,
        **settings: str,
    ) -> Server:
        home = tmp_path / f"home-{len(started)}"
        database_url = template.copy_to(home)
        server = Server(
            home, template.tokens, database_url, settings, broker_url, config, wrapper or [], cache_url=cache_url
        )
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.end()


@pytest.fixture(scope="session")
def object_store(of_all_workers: Path) -> Iterator[ObjectStore]:
    """An S3 server, for all tests that do not stop it. Each makes a bucket of its own."""
    with shared(
        of_all_workers / "objects.json", lambda: ObjectStore.begin(of_all_workers / "objects"), ObjectStore.end
    ) as facts:
        yield ObjectStore.found(facts)


@pytest.fixture(scope="session", autouse=True)
def _outside_services(request: pytest.FixtureRequest, of_all_workers: Path) -> Iterator[None]:
    """What all servers use, if TESTS_STORE and TESTS_REDIS say so."""
    with ExitStack() as stack:
        if outside_services.is_on_s3():
            outside_services.store = request.getfixturevalue("object_store")
        if outside_services.is_on_redis():
            redis = shared(of_all_workers / "redis.json", OwnRedis.begin, lambda facts: end_shared(facts["pid"]))
            outside_services.redis_port = stack.enter_context(redis)["port"]
        yield


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture
def passed() -> Iterator[list[Step]]:
    """The crash points that this process reaches, in their order."""
    found: list[Step] = []
    crash_points.listeners.append(found.append)
    yield found
    crash_points.listeners.remove(found.append)


@pytest.fixture(scope="module")
def relay(object_store: ObjectStore) -> Iterator[RecordingRelay]:
    """The S3 server at another address, which notes what passes."""
    found = RecordingRelay(object_store.ports["s3.port"])
    with found:
        yield found


@pytest.fixture
def tus(shared_server: Server) -> Client:
    return Client(shared_server)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real film of a few seconds, about 100 KB."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:duration=3"]
    subprocess.run([ffmpeg, "-v", "error", *source, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path.read_bytes()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every kind that ffmpeg can write, by its name in media_samples. All processes of a run share them."""
    return media_samples.make(tmp_path_factory.getbasetemp().parent / "millrace-clips")


@pytest.fixture
def film(clip: bytes) -> Callable[..., bytes]:
    """Bytes that begin like a film and go on at random: as large, and as unlike any other, as a test needs."""

    def make(size: int = 300_000, seed: int | None = None) -> bytes:
        return clip[:4096] + random.Random(seed).randbytes(size - 4096)

    return make


@pytest.fixture(scope="session")
def film_shelf(clip: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilmShelf]:
    folder = tmp_path_factory.mktemp("films")
    yield FilmShelf(folder, clip[:4096])
    shutil.rmtree(folder)


@pytest.fixture
def long_film(film_shelf: FilmShelf) -> Callable[[], LongFilm]:
    """Long films in files; call it for as many as a test needs."""
    numbers = itertools.count()
    return lambda: film_shelf.take(next(numbers))


@pytest.fixture
def undisturbed_film(film_shelf: FilmShelf) -> Callable[[], LongFilm]:
    """Shorter ones, for uploads that nothing happens to on their way."""
    numbers = itertools.count()
    return lambda: film_shelf.take(next(numbers), UNDISTURBED)
