"""Processes of Millrace without the wait for Python's imports, which take longer than most of what tests ask of them.

As a program it serves the socket that is its input. Each command runs in a fork, in a session of its own, with an
environment, an output and an end of its own, just as Python would have run it. One for a whole test run has imported
what reads no settings; from it a Django is forked for each server, and from that the server, its workers and its
management commands. Each ends when the process at the other end of the socket does.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

from config.processes import parent_death

ROOT = Path(__file__).resolve().parents[2]
DJANGO = ["-m", "tests.support.preloaded_processes", "django"]
# pytest tells of the test that runs: with it, no two environments would be the same.
_OF_THE_TESTS = ("MILLRACE_", "DJANGO_", "PYTEST_", "TESTS_", "AWS_", "DATABASE_URL", "BROKER_URL", "CACHE_URL")
_LONGEST = 1_000_000  # words of a command, and its environment
# What takes long to import and can be before there are settings: all of it would fail if it asked for them.
_HEAVY = (
    "celery.apps.worker", "celery.bin.celery", "celery.concurrency.solo", "celery.contrib.django.task",
    "celery.fixups.django", "celery.worker.autoscale", "celery.worker.components", "celery.worker.consumer",
    "corsheaders.middleware", "django.contrib.admin.options", "django.contrib.admin.templatetags.admin_list",
    "django.contrib.admin.templatetags.admin_modify", "django.contrib.admin.views.main",
    "django.contrib.admindocs.views", "django.contrib.auth.apps", "django.contrib.auth.hashers",
    "django.contrib.auth.password_validation", "django.contrib.messages.storage.fallback",
    "django.contrib.sessions.middleware", "django.contrib.sites.shortcuts", "django.core.management.commands.check",
    "django.core.management.commands.makemigrations", "django.core.management.commands.migrate",
    "django.core.management.commands.shell", "django.db.backends.postgresql.psycopg_any",
    "django.db.backends.sqlite3.base", "django.db.migrations.executor", "django.template.loaders.app_directories",
    "django.test", "django_filters", "drf_spectacular.utils", "environ", "gunicorn.app.wsgiapp", "gunicorn.glogging",
    "gunicorn.workers.gthread", "imageio_ffmpeg", "kombu.transport.filesystem", "media_jobs.conf",
    "media_jobs.operations.registry", "media_jobs.worker.fetch", "media_jobs.worker.process_table", "multipart",
    "multiprocessing.synchronize", "prometheus_client.core", "pydantic", "requests", "rest_framework.authentication",
    "rest_framework.metadata", "rest_framework.mixins", "rest_framework.permissions", "rest_framework.serializers",
    "structlog", "tqdm", "unfold.contrib.filters.apps", "unfold.dataclasses", "unfold.sections",
    "uploads.access.attempt_limits", "uploads.content.sniffing", "uploads.http.body", "uploads.http.byte_ranges",
    "uploads.http.composed_response", "uploads.http.multipart", "uploads.http.tus_headers",
    "uploads.runtime.database_connections", "uploads.runtime.timely_answers", "uploads.storage.page_origins",
    "uploads.templatetags.local_times", "uploads.transfers.resumable.checkpoint", "uritemplate",
    "whitenoise.middleware", "yaml",
)  # fmt: skip


class Process:
    """A command that runs, as a subprocess.Popen. It has a parent of its own, which tells how it ended."""

    def __init__(self, words: list[str], answer: socket.socket) -> None:
        self.args, self._answer, self._lock = words, answer, threading.Lock()
        self.returncode: int | None = None
        self.pid = int(answer.recv(20))

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended at this moment, and its parent is about to tell
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, patience: float | None) -> int | None:
        if self.returncode is None and self._is_told(patience):
            with self._lock:
                if self.returncode is None:
                    # Nothing is said where all were killed, the parent too.
                    self.returncode = int(self._answer.recv(20) or -signal.SIGKILL)
        return self.returncode

    def _is_told(self, patience: float | None) -> bool:
        poll = select.poll()
        poll.register(self._answer, select.POLLIN)
        return bool(poll.poll(None if patience is None else 1000 * patience))


AnyProcess = subprocess.Popen[bytes] | Process


class Ready:
    """A process to fork others from. It is started for the first of them; several threads may ask."""

    def __init__(self, begin: Callable[[socket.socket], AnyProcess]) -> None:
        self._begin, self._lock = begin, threading.Lock()
        self._process: AnyProcess | None = None
        self._wire: socket.socket | None = None

    def start(
        self, words: list[str], files: tuple[int, int, int], environment: Mapping[str, str] | None = None
    ) -> Process:
        """Run `python WORDS` with these files for its input, output and errors."""
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            order = json.dumps([words, environment and dict(environment)]).encode()
            socket.send_fds(self._there(), [order], [theirs.fileno(), *files])
        return Process(words, ours)

    def end(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._wire = None

    def _there(self) -> socket.socket:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.end()
                self._wire, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
                with theirs:
                    self._process = self._begin(theirs)
            assert self._wire is not None
            return self._wire


def plain_environment() -> dict[str, str]:
    """Our environment, without what the test run has set and without the developer's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_TESTS)}
    return kept | {"MILLRACE_ENV_FILE": "none"}


def _begin_imported(wire: socket.socket) -> AnyProcess:
    return subprocess.Popen(
        [sys.executable, *DJANGO[:2]], cwd=ROOT, env=plain_environment(), stdin=wire.fileno(),
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


IMPORTED = Ready(_begin_imported)
atexit.register(IMPORTED.end)


class ReadyDjango:
    """Runs commands in forks of a process that has loaded Django, one for each environment: as many as are asked."""

    def __init__(self) -> None:
        self._ready: dict[frozenset[tuple[str, str]], Ready] = {}
        self._lock = threading.Lock()

    def run(self, environment: Mapping[str, str], words: list[str]) -> "subprocess.CompletedProcess[str]":
        """`python WORDS`, to its end."""
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err, Path(os.devnull).open() as nothing:
            files = (nothing.fileno(), out.fileno(), err.fileno())
            code = self.start(environment, words, files).wait()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), err.read())

    def start(self, environment: Mapping[str, str], words: list[str], files: tuple[int, int, int]) -> Process:
        key = frozenset(environment.items())
        with self._lock:
            if key not in self._ready:
                self._ready[key] = Ready(partial(_begin_django, dict(environment)))
        return self._ready[key].start(words, files)

    def end(self) -> None:
        """What was started and still runs ends, too."""
        for ready in self._ready.values():
            ready.end()
        self._ready.clear()


def _begin_django(environment: Mapping[str, str], wire: socket.socket) -> AnyProcess:
    with Path(os.devnull).open("w") as nothing:
        return IMPORTED.start(DJANGO, (wire.fileno(), nothing.fileno(), 2), environment)


def serve(wire: socket.socket) -> None:
    parent = os.getpid()
    while True:
        order, files, _, _ = socket.recv_fds(wire, _LONGEST, 4)
        if not order:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            parent_death.end_with_parent(parent)
            _run(*json.loads(order), *files)
        for file in files:
            os.close(file)


def _run(words: list[str], environment: dict[str, str] | None, answer: int, *files: int) -> None:
    """In a child of the one that tells how it ended, so that this is told whatever the end."""
    if pid := os.fork():
        for file in files:
            os.close(file)
        status = os.waitpid(pid, 0)[1]
        os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.setsid()
    os.write(answer, str(os.getpid()).encode())
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, max(answer, *files) + 1)
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
        sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        time.tzset()
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        _end(end.code)
    _end(None)


def _end(code: object) -> NoReturn:
    """End as Python does, but free nothing: that would copy all memory that forks share, in a tenth of a second."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)  # noqa: T201  # as Python does
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


def prepare_imports() -> None:
    from django.conf import settings

    for name in _HEAVY:
        importlib.import_module(name)
    assert not settings.configured


def prepare_django() -> None:
    import django
    from django.urls import get_resolver

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    assert get_resolver().url_patterns


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that tell
    prepare_django() if sys.argv[1:] == DJANGO[2:] else prepare_imports()
    assert threading.active_count() == 1  # of several, a fork would have its own alone
    gc.freeze()  # shared by all forks for as long as nothing writes to it
    serve(socket.socket(fileno=0))
