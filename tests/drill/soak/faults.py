"""The faults of the soak, one a minute while clients use the installation, and the alerts that must report them."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.brokers import lose_everything
from tests.disks import filler
from tests.drill.soak.ledger import CUT
from tests.drill.soak.load import Load
from tests.drill.stage import Broken
from tests.processes import descendants, kill, signalled
from tests.serve import Serve
from tests.smtp import MailServer
from tests.tus import OCTETS, UPLOADS, VERSION

MIB = 1024**2
MIN_FREE, WARN_FREE = 100 * MIB, 400 * MIB
SOON = 90.0  # seconds until all runs again
TOLD = 200.0  # until an alert was mailed: a lane is dead after 35 s, and mails are sent each minute
CALM = 420.0  # until its end was: five minutes of calm, and the minute of the mails
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Scene:
    serve: Serve
    load: Load
    mails: MailServer
    has_own_disk: bool
    ended: dict[str, float] = field(
        default_factory=dict
    )  # when the cause of an alert was, on the clock of monotonic()

    def wait_for(self, happened: Callable[[], Any], what: str, patience: float = SOON) -> Any:
        deadline = time.monotonic() + patience
        while not (found := happened()):
            if time.monotonic() > deadline:
                raise Broken(f"waited {patience:.0f} s in vain for {what}")
            time.sleep(0.2)
        return found

    def warnings(self) -> str:
        answer = self.load.ask("GET", "/readyz")
        return answer.body.decode() if answer is not None else ""

    def is_mailed(self, code: str, state: str) -> bool:
        """By the subject of a mail: `new: disk_nearly_full, lane_dead, over: …`."""
        subjects = [str(mail["Subject"]).replace("\n", "") for mail in list(self.mails.mails)]
        return any(code in subject.partition(f"{state}: ")[2].partition(": ")[0] for subject in subjects)


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
        return f"process {pid} and {len(below)} below it; all is ready after {time.monotonic() - began:.1f} s"

    return fault


def cut_bodies_off(scene: Scene) -> str:
    """Clients that disconnect in the middle of a body."""
    for number in range(20):
        with _line(scene, "PUT", f"/api/v1/upload/cut-{number}.mp4", 5_000_000) as wire:
            wire.sendall(scene.load.film[:50_000] + bytes(50_000 * number))
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return "20 connections reset"


def send_slowly(scene: Scene) -> str:
    """A few bytes a second, in the middle of heads and of bodies."""
    with ExitStack() as stack:
        wires = [
            stack.enter_context(_line(scene, "PUT", f"/api/v1/upload/slow-{number}.mp4", 5_000_000))
            for number in range(20)
        ]
        for _ in range(20):
            with contextlib.suppress(OSError):
                wires.append(stack.enter_context(_connection(scene)))
                wires[-1].sendall(b"GET / HTTP/1.1\r\nX: ")
        for moment in range(30):
            for wire in wires:
                with contextlib.suppress(OSError):  # the server has hung up on it, which it may
                    wire.sendall(scene.load.film[moment : moment + 1])
            time.sleep(1)
    return "40 clients, a byte a second, for 30 s"


def write_beside(scene: Scene) -> str:
    """A lock on the database for some seconds, and two clients that write to one tus upload."""
    head = {"Tus-Resumable": VERSION}
    made = scene.load.ask("POST", UPLOADS, headers={**head, "Upload-Length": str(len(scene.load.film))})
    if made is None or made.status != 201:
        raise Broken("no upload could be begun")
    path = str(made.headers["Location"])
    with _line(
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
            return "lane heavy, and no worker" in scene.warnings() and scene.is_mailed("lane_dead", "new")

        scene.wait_for(is_told, "the alert lane_dead", TOLD)
        told = time.monotonic() - began
    scene.wait_for(lambda: "lane heavy, and no worker" not in scene.warnings(), "the warning to go", SOON)
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
    "clients that are slow": send_slowly,
    "a lane without a worker": stop_lane,
    "a disk nearly full, and full": fill_disk,
    "kill -9 of web": kill_part("web", CUT),
    "kill -9 of the web worker": kill_part("web worker", CUT),
    "kill -9 of housekeeping": kill_part("housekeeping"),
    "kill -9 of the quick slot": kill_part("quick"),
    "kill -9 of the heavy slot": kill_part("heavy"),
    "clients that disconnect": cut_bodies_off,
    "a second writer": write_beside,
    "messages lost": lose_messages,
}
# Then these by turns: what web and housekeeping gather is seen only while they live.
LASTING = (
    "clients that disconnect", "kill -9 of the heavy slot", "clients that are slow", "a second writer",
    "messages lost", "kill -9 of the quick slot",
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


def _connection(scene: Scene) -> socket.socket:
    return socket.create_connection(("127.0.0.1", scene.serve.port), timeout=30)


@contextmanager
def _line(
    scene: Scene, method: str, path: str, length: int, headers: dict[str, str] | None = None
) -> Iterator[socket.socket]:
    lines = {
        "Host": "127.0.0.1", "Content-Length": str(length),
        "Authorization": f"Bearer {scene.load.server.tokens['bob']}", **(headers or {}),
    }  # fmt: skip
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    with _connection(scene) as wire:
        wire.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        yield wire


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
