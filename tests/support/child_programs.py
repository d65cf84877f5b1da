"""Functions that unit tests run in a process of their own, by command_for. Most need no Django."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def _hold(word: str = "held") -> None:
    """Tell the test, and wait until it closes our input."""
    print(word, flush=True)  # noqa: T201
    sys.stdin.read()


def hold_shared_lock() -> None:
    from config.processes import instance_lock

    instance_lock.hold_shared()
    _hold()


def hold_exclusive_lock() -> None:
    from config.processes import instance_lock

    with instance_lock.exclusively():
        _hold()


def hold_work_folder(root: str) -> None:
    from media_jobs.ffmpeg.work_folder import work_folder

    with work_folder(Path(root), "one"):
        _hold()


def write_new_blob(root: str, key: str) -> None:
    """Write some bytes of a new key, and do not commit."""
    from uploads.sinks.local.sink import LocalSink

    writer = LocalSink(Path(root)).create(key)
    writer.write(b"from elsewhere")
    _hold()
    writer.close()


def resume_blob(root: str, key: str) -> None:
    """Write some bytes of a key that can be resumed, and keep its lock."""
    from uploads.sinks.local.sink import LocalSink

    writer = LocalSink(Path(root)).resume(key)
    writer.write(b"from elsewhere")
    _hold()
    writer.close()


def be_killed_while_fetching(folder: str, sha256: str, size: int) -> None:
    from media_jobs.worker.input_cache import InputCache

    def fetch(fd: int) -> None:
        os.pwrite(fd, b"half", 0)
        os.kill(os.getpid(), signal.SIGKILL)

    with InputCache(Path(folder), lambda: 10 * size).held(sha256, size, fetch, lambda: None):
        pass


def make_secret_key(path: str) -> str:
    from config.secret_key import kept_key

    _hold("ready")
    return kept_key(Path(path))


def settings_and_known_names(root: str | None = None) -> dict[str, Any]:
    """What config.settings reads, with `root` in the place of the folder of manage.py."""
    from config import env

    if root is not None:
        env.ROOT = Path(root)
    from config import settings

    omitted = {"LOGGING", "UNFOLD", "LOGIN_URL", "LOGIN_REDIRECT_URL"}
    shown = {name: repr(value) for name, value in vars(settings).items() if name.isupper() and name not in omitted}
    return {"settings": shown, "known": sorted(env.known)}


def log_hostile_words() -> None:
    """Log a request and an error whose words a terminal would obey."""
    import structlog
    from django.test import Client

    Client().get("/%1b]0;x%07%c2%9b2J%e2%80%aeend", headers={"host": "localhost"})
    try:
        raise ValueError("bad \x1b]0;y\x07")
    except ValueError:
        structlog.get_logger("tests").exception("failed", lines="one\ntwo", words=["\x1b]0;z\x07"])


def encode_for_ever(film: str, folder: str) -> None:
    from media_jobs.ffmpeg import binary
    from media_jobs.ffmpeg.command import Command, Source, Target
    from media_jobs.ffmpeg.sandbox import Sandbox
    from media_jobs.ffmpeg.toolbox import Toolbox

    def show(report: object) -> None:
        print(report, flush=True)  # noqa: T201

    box = Toolbox(binary.find(), Sandbox.probe(), Path(folder), 2, lambda: None, show)
    slow = ("-filter_complex", "loop=-1:50", "-c:v", "libx264")
    box.ffmpeg(Command([Source(Path(film), "mov")], [Target(Path(folder) / "out.mkv", slow)]))


def start_in_sandbox(command: list[str]) -> None:
    """Start a command in the sandbox, print its process id, and wait to be killed."""
    from media_jobs.ffmpeg.sandbox import Limits, Sandbox

    child = subprocess.Popen(Sandbox.probe().wrap(command, Limits()), start_new_session=True)
    print(child.pid, flush=True)  # noqa: T201
    time.sleep(60)


def toolbox_loads_pyav() -> bool:
    import media_jobs.ffmpeg.toolbox

    assert media_jobs.ffmpeg.toolbox
    return "av" in sys.modules


def probe_and_open(film: str, others: list[tuple[str, str]]) -> list[str]:
    """Probe as the child process of the probe does, and then open other files as an exploit would."""
    from media_jobs.ffmpeg.probing.child_process import main

    main("facts", film, "confined")
    return [_try_to_open(path, mode) for path, mode in others]


def _try_to_open(path: str, mode: str) -> str:
    try:
        Path(path).open(mode).close()
    except PermissionError:
        return "refused"
    return "opened"


def open_under_older_landlock(version: int, film: str, other: str) -> None:
    from media_jobs.ffmpeg import landlock

    landlock.version = lambda: version
    landlock.confine(read=[film])
    Path(film).open("rb").close()
    Path(other).open("rb").close()


def connect_under_landlock(port: int) -> None:
    from media_jobs.ffmpeg.landlock import confine

    confine(read=["/"])
    socket.create_connection(("127.0.0.1", port), 2)


def probe_under_many_confinements() -> None:
    """Act as the child process of the probe, by the last three words of the command line. One layer more fails."""
    from media_jobs.ffmpeg.landlock import confine
    from media_jobs.ffmpeg.probing.child_process import main

    for _ in range(16):
        confine(read=["/"], write=["/dev"])
    sys.exit(main(*sys.argv[-3:]))


def write_with_pauses(path: str) -> None:
    with Path(path).open("wb") as file:
        for _ in range(6):
            file.write(bytes(3 << 20))
            time.sleep(0.7)
