"""The faults of the soak, one a minute while clients use the installation, and the alerts that must report them."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.drill.soak.clients import cut_bodies_off, request, send_slowly, start_all_threads
from tests.drill.soak.ledger import CUT
from tests.drill.soak.scene import SOON, Scene
from tests.drill.stage import Broken
from tests.support.failing_brokers import lose_everything
from tests.support.processes import descendants, kill, signalled
from tests.support.serve_process import Serve
from tests.support.small_disks import filler
from tests.support.tus_client import OCTETS, UPLOADS, VERSION

MIB = 1024**2
MIN_FREE, WARN_FREE = 100 * MIB, 400 * MIB
TOLD = 200.0  # seconds until an alert was mailed: a lane is dead after 35 s, and mails are sent each minute
CALM = 420.0  # until its end was: five minutes of calm, and the minute of the mails

Fault = Callable[[Scene], str]


def kill_part(name: str, *excused: int) -> Fault:
    def fault(scene: Scene) -> str:
        pid = scene.serve.tree()[name]
        below = descendants(pid)
        with scene.load.ledger.excuse(*excused):
            kill(pid)
            began = time.monotonic()
            scene.wait_for(lambda: scene.serve.tree().get(name, pid) != pid, f"{name} to be started again")
            scene.wait_for(scene.serve.is_ready, "/readyz")
            after = time.monotonic() - began
        if name.startswith("web"):
            start_all_threads(scene)
        return f"process {pid} and {len(below)} below it; all is ready after {after:.1f} s"

    return fault


def write_beside(scene: Scene) -> str:
    """A lock on the database for some seconds, and two clients that write to one tus upload."""
    head = {"Tus-Resumable": VERSION}
    made = scene.load.ask("POST", UPLOADS, headers={**head, "Upload-Length": str(len(scene.load.film))})
    if made is None or made.status != 201:
        raise Broken("no upload could be begun")
    path = str(made.headers["Location"])
    with request(
        scene, "PATCH", path, len(scene.load.film), {**head, "Upload-Offset": "0", "Content-Type": OCTETS}
    ) as one:
        one.sendall(scene.load.film[:50_000])
        second = {**head, "Upload-Offset": "0", "Content-Type": OCTETS}
        answer = scene.load.ask("PATCH", path, scene.load.film, second)
    scene.load.ask("DELETE", path, headers=head)
    with _locked(scene.serve):
        time.sleep(4)
    return f"the second writer got {answer.status if answer else 'cut off'}; then the database was locked for 4 s"


def lose_messages(scene: Scene) -> str:
    lose_everything(scene.load.server)
    return "the broker's files, keys or queues removed"


def stop_lane(scene: Scene) -> str:
    """The only worker of a lane stands still until the alert is mailed."""
    pid = scene.serve.tree()["heavy"]
    with signalled([pid, *descendants(pid)], signal.SIGSTOP, signal.SIGCONT):
        began = time.monotonic()

        def is_told() -> bool:
            _submit_heavy(scene)
            return "lane heavy, and it has no" in scene.warnings() and scene.is_mailed("lane_dead", "new")

        scene.wait_for(is_told, "the alert lane_dead", TOLD)
        told = time.monotonic() - began
    scene.wait_for(lambda: "lane heavy, and it has no" not in scene.warnings(), "the warning to go", SOON)
    scene.ended["lane_dead"] = time.monotonic()
    return f"lane_dead was in /readyz and mailed after {told:.0f} s, and gone from /readyz when the worker went on"


def fill_disk(scene: Scene) -> str:
    """Nearly, until the alert is mailed; then for some seconds more than uploads may."""
    if not scene.has_own_disk:
        return "left out: this machine does not let us mount a small disk"
    disk, began = scene.serve.home.parent, time.monotonic()
    try:
        _leave_free(disk, WARN_FREE * 3 // 4)
        scene.wait_for(lambda: scene.is_mailed("disk_nearly_full", "new"), "the alert disk_nearly_full", TOLD)
        told = time.monotonic() - began
        with scene.load.ledger.excuse(507, 503):
            _leave_free(disk, MIN_FREE // 2)
            time.sleep(8)
            filler(disk).unlink()
            scene.wait_for(scene.serve.is_ready, "/readyz")
    finally:
        filler(disk).unlink(missing_ok=True)
    scene.ended["disk_nearly_full"] = time.monotonic()
    return f"disk_nearly_full was mailed after {told:.0f} s; then it was full for 8 s"


# Those with an alert first: its end is mailed after five minutes of calm. Then each process once.
FAULTS: dict[str, Fault] = {
    "a lane without a worker": stop_lane,
    "a disk nearly full, and full": fill_disk,
    "kill -9 of web": kill_part("web", CUT),
    "kill -9 of the web worker": kill_part("web worker", CUT),
    "clients that are slow": send_slowly,
    "kill -9 of housekeeping": kill_part("housekeeping"),
    "kill -9 of the quick slot": kill_part("quick"),
    "kill -9 of the heavy slot": kill_part("heavy"),
    "clients that disconnect": cut_bodies_off,
    "a second writer": write_beside,
    "messages lost": lose_messages,
}
# Then these by turns, five in five minutes, so that the first third of the web server's last life and its last third
# see the same ones. Web and housekeeping are killed no more: what they gather is seen only while they live.
LASTING = (
    "clients that are slow", "clients that disconnect", "a second writer", "messages lost",
    "kill -9 of the heavy slot",
)  # fmt: skip


def at_minute(number: int) -> str:
    names = list(FAULTS)
    return names[number] if number < len(names) else LASTING[(number - len(names)) % len(LASTING)]


def _submit_heavy(scene: Scene) -> None:
    import json

    if scene.load.ledger.files:
        file = next(reversed(scene.load.ledger.files))
        order = json.dumps({"operation": "transcode", "params": {"height": 90}, "file": file}).encode()
        scene.load.ask("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"})
    time.sleep(3)


@contextmanager
def _locked(serve: Serve) -> Iterator[None]:
    if serve.database_url:
        with psycopg.connect(serve.database_url) as database:
            database.execute("LOCK TABLE uploads_upload IN ACCESS EXCLUSIVE MODE")
            yield
            return
    [path] = serve.home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as lite:
        lite.execute("BEGIN IMMEDIATE")
        yield
        lite.execute("ROLLBACK")


def _leave_free(disk: Path, left: int) -> None:
    path = filler(disk)
    has = path.stat().st_size if path.exists() else 0
    free = shutil.disk_usage(disk).free
    with path.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, has + max(1, free - left))
