"""What threads of the web process keep: memory, and connections to the database."""

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support.processes import children
from tests.support.running_servers import StartServer
from tests.support.server import Server
from tests.support.waiting import wait_until

THREADS = 48
KEPT = 4  # connections to SQLite, for the next requests
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (....) \S+ 00:00 0\s*$", re.MULTILINE)
HEAP = 64 * 1024**2  # glibc reserves so much for each heap of threads, at a multiple of it, and opens what it needs


def heaps_of_threads(pid: int) -> int:
    maps = [
        (int(begin, 16), int(end, 16), access)
        for begin, end, access in _MAPPING.findall(Path(f"/proc/{pid}/maps").read_text())
    ]
    reserved = {begin: end for begin, end, access in maps if access == "---p"}
    return sum(
        begin % HEAP == 0 and access == "rw-p" and reserved.get(end) == begin + HEAP for begin, end, access in maps
    )


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextmanager
def slow_bodies(server: Server) -> Iterator[list[socket.socket]]:
    """As many as there are threads. Each takes one."""
    [worker] = children(server.pid)
    head = (
        "PUT /api/v1/upload/slow.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {server.tokens['alice']}\r\n\r\n"
    )
    with ExitStack() as stack:
        wires = []
        for _ in range(THREADS):
            wires.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)))
            wires[-1].sendall(head.encode())
        wait_until(lambda: threads(worker) >= THREADS, 20)
        yield wires


def open_databases(pid: int) -> int:
    """Connections to SQLite: each has a descriptor of its log."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed since
            count += entry.readlink().name.endswith("-wal")
    return count


def test_threads_share_their_heaps(start_server: StartServer) -> None:
    server = start_server(THREADS=str(THREADS), MAX_UPLOADS_PER_USER="100")
    [worker] = children(server.pid)
    with slow_bodies(server):
        assert heaps_of_threads(worker) <= 1  # one is the process's own, which is none of these


def test_a_thread_whose_client_has_left_keeps_no_connection_to_the_database(
    start_server: StartServer, clip: bytes
) -> None:
    server = start_server(THREADS=str(THREADS), MAX_UPLOADS_PER_USER="100")
    [worker] = children(server.pid)
    for _ in range(2):
        with slow_bodies(server) as wires:
            for wire in wires:
                wire.sendall(clip[:20_000])
            time.sleep(2)  # until they are received
            for wire in wires:
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
        time.sleep(2)
    if server.database_url:  # its pool has fewer connections than there are threads
        assert server.request("GET", "/api/v1/files/", timeout=20).status == 200
    else:
        wait_until(lambda: open_databases(worker) <= KEPT + 1, 10)
