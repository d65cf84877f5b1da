"""The memory of the web process."""

import re
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.support.processes import children
from tests.support.running_servers import StartServer
from tests.support.waiting import wait_until

THREADS = 24
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


def test_threads_share_their_heaps(start_server: StartServer) -> None:
    server = start_server(THREADS=str(THREADS), MAX_UPLOADS_PER_USER="100")
    [worker] = children(server.pid)
    head = (
        "PUT /api/v1/upload/slow.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {server.tokens['alice']}\r\n\r\n"
    )
    with ExitStack() as stack:
        for _ in range(THREADS):
            wire = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            wire.sendall(head.encode())
        wait_until(lambda: threads(worker) >= THREADS, 20)
        assert heaps_of_threads(worker) <= 1  # one is the process's own, which is none of these
