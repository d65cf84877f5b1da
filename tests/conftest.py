"""Fixtures for all tests. Nothing is faked: `server` is gunicorn, `clip` is a real film."""

import hashlib
import itertools
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from hypothesis import HealthCheck, settings

from tests.support.server import Server, Template, drop_database, make_template
from tests.support.tus_client import Client

# How long a busy machine takes to think of an example, or to try it, is nobody's fault.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
NO_SKIP = "TESTS_NO_SKIP"  # set by .ci/run: there everything a test needs is installed


def pytest_xdist_auto_num_workers() -> int:
    """At any moment one in three tests waits."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    report = yield
    if os.environ.get(NO_SKIP) and report.skipped:  # type: ignore[attr-defined]
        report.outcome = "failed"  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _uses_database(item):
            item.add_marker("database")


def _uses_database(item: pytest.Item) -> bool:
    """Those of units and media do where they ask for one, or for a server; pytest-django forbids it to the others."""
    if not item.nodeid.startswith(("tests/unit/", "tests/media/")):
        return True
    asked = {"template", "db", "transactional_db"}.intersection(getattr(item, "fixturenames", ()))
    return bool(asked) or item.get_closest_marker("django_db") is not None


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    made = make_template(tmp_path_factory.mktemp("template") / "home", os.environ.get("DATABASE_URL", ""))
    yield made
    drop_database(made.database_url)


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def shared_server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only use it. They must not count what else is on it."""
    with running(template, tmp_path_factory, MAX_FILE_SIZE="64MiB") as server:
        yield server


@contextmanager
def running(
    template: Template,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    config: str = "config.web_server.gunicorn_config",
    **settings: str,
) -> Iterator[Server]:
    """For fixtures of more than one test: a server of their own, gone with them."""
    home = tmp_path_factory.mktemp("server") / "home"
    server = Server(home, template.tokens, template.copy_to(home), settings, config=config)
    try:
        server.start()
        yield server
    finally:
        server.end()


@contextmanager
def running_pair(template: Template, folder: Path) -> Iterator[list[Server]]:
    """Two servers on one home and one database, as two hosts or an unlucky restart would have them."""
    home = folder / "home"
    database_url = template.copy_to(home)
    both = [Server(home, template.tokens, database_url) for _ in range(2)]
    try:
        for server in both:
            server.start()
        yield both
    finally:
        for server in both:
            server.kill()
        for server in both:
            server.end()


@pytest.fixture
def start_server(template: Template, tmp_path: Path) -> Iterator[StartServer]:
    """Start servers of one's own: `start_server(QUOTA="1MB")`. `config` names a module of gunicorn_configs/."""
    started: list[Server] = []

    def start(
        *,
        config: str = "config.web_server.gunicorn_config",
        wrapper: list[str] | None = None,
        broker_url: str = "",
        cache_url: str = "",
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


@pytest.fixture
def film(clip: bytes) -> Callable[..., bytes]:
    """Bytes that begin like a film and go on at random: as large, and as unlike any other, as a test needs."""

    def make(size: int = 300_000, seed: int | None = None) -> bytes:
        return clip[:4096] + random.Random(seed).randbytes(size - 4096)

    return make


@dataclass(frozen=True)
class LongFilm:
    path: Path
    size: int
    sha256: str


class _Shelf:
    """Long films on the disk. Every one that is taken has a new end, and so is unlike any other."""

    _END = 64

    def __init__(self, folder: Path, beginning: bytes) -> None:
        self._folder, self._beginning = folder, beginning
        self._hashed: list[Any] = []

    def take(self, number: int, size: int = 100_000_000) -> LongFilm:
        path = self._folder / f"film-{number}.mp4"
        if not path.exists():
            self._hashed.append(self._write(path, size - self._END))
        end = os.urandom(self._END)
        with path.open("r+b") as file:
            file.seek(-self._END, os.SEEK_END)
            file.write(end)
        digest = self._hashed[number].copy()
        digest.update(end)
        return LongFilm(path, size, digest.hexdigest())

    def _write(self, path: Path, size: int) -> Any:
        """The same block with a counter, over and over: made in no time."""
        digest, block, left = hashlib.sha256(), self._beginning + os.urandom(1024 * 1024), size
        with path.open("wb") as file:
            while left:
                block = block[:left]
                digest.update(block)
                left -= file.write(block)
                block = left.to_bytes(8, "big") + block[8:]
            file.write(bytes(self._END))
        return digest


@pytest.fixture(scope="session")
def _shelf(clip: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shelf]:
    folder = tmp_path_factory.mktemp("films")
    yield _Shelf(folder, clip[:4096])
    shutil.rmtree(folder)


@pytest.fixture
def long_film(_shelf: _Shelf) -> Callable[[], LongFilm]:
    """Films of 100 MB in files; call it for as many as a test needs."""
    numbers = itertools.count()
    return lambda: _shelf.take(next(numbers))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
