"""Clients that send a byte a second, or leave in the middle of a body."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.drill.soak.scene import Scene

THREADS = 64  # of the web server
_RESET = struct.pack("ii", 1, 0)


def cut_bodies_off(scene: Scene) -> str:
    """Clients that disconnect in the middle of a body."""
    for number in range(20):
        with request(scene, "PUT", f"/api/v1/upload/cut-{number}.mp4", 5_000_000) as wire:
            wire.sendall(scene.load.film[:50_000] + bytes(50_000 * number))
            _reset(wire)
    return "20 connections reset"


def send_slowly(scene: Scene) -> str:
    """A few bytes a second, in the middle of heads and of bodies."""
    with ExitStack() as stack:
        wires = _slow_bodies(scene, stack, 20)
        for _ in range(20):
            with contextlib.suppress(OSError):
                wires.append(stack.enter_context(_connect(scene)))
                wires[-1].sendall(b"GET / HTTP/1.1\r\nX: ")
        for moment in range(30):
            for wire in wires:
                with contextlib.suppress(OSError):  # the server has hung up on it, which it may
                    wire.sendall(scene.load.film[moment : moment + 1])
            time.sleep(1)
    return "40 clients, a byte a second, for 30 s"


def start_all_threads(scene: Scene) -> None:
    """Make the web server start every thread that it may have, with as many bodies that do not go on.

    It never ends one. Those that the first slow clients started later would look as if threads leaked.
    """
    tasks = Path(f"/proc/{scene.serve.tree()['web worker']}/task")
    with ExitStack() as stack:
        wires = _slow_bodies(scene, stack, THREADS)
        for wire in wires:
            wire.sendall(scene.load.film[:20_000])
        scene.wait_for(lambda: len(list(tasks.iterdir())) > THREADS, f"{THREADS} threads of the web server")
        for wire in wires:
            _reset(wire)


def _slow_bodies(scene: Scene, stack: ExitStack, count: int) -> list[socket.socket]:
    return [
        stack.enter_context(request(scene, "PUT", f"/api/v1/upload/slow-{number}.mp4", 5_000_000))
        for number in range(count)
    ]


def _reset(wire: socket.socket) -> None:
    """Closing it will not end it in order."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@contextmanager
def request(
    scene: Scene, method: str, path: str, length: int, headers: dict[str, str] | None = None
) -> Iterator[socket.socket]:
    lines = {
        "Host": "127.0.0.1", "Content-Length": str(length),
        "Authorization": f"Bearer {scene.load.server.tokens['bob']}", **(headers or {}),
    }  # fmt: skip
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    with _connect(scene) as wire:
        wire.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        yield wire


def _connect(scene: Scene) -> socket.socket:
    return socket.create_connection(("127.0.0.1", scene.serve.port), timeout=30)
