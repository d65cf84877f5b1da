"""Connections to one of several web processes that share a port. The kernel tells which of them has accepted."""

import contextlib
import http.client
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import children
from tests.support.server import Answer
from tests.support.waiting import wait_until

_TRIES = 200


def web_processes(master: int) -> set[int]:
    return set(children(master))


def serving(wire: socket.socket, master: int) -> int:
    """The web process that has accepted this connection."""
    found = wait_until(lambda: _holder(_inode(wire), web_processes(master)))
    assert found is not None
    return found


def _inode(wire: socket.socket) -> str:
    """Of the server's end."""
    ours, theirs = wire.getsockname()[1], wire.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if [int(field.rpartition(":")[2], 16) for field in fields[1:3]] == [theirs, ours]:
            return fields[9]
    return ""


def _holder(inode: str, pids: set[int]) -> int | None:
    for pid in pids:
        with contextlib.suppress(OSError):  # it has just ended, or closed the file
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if inode and Path(entry).readlink().name == f"socket:[{inode}]":
                        return pid
    return None


def connected(port: int, master: int, to: int) -> http.client.HTTPConnection:
    """A connection that this web process serves."""
    others = []
    try:
        for _ in range(_TRIES):
            made = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            made.connect()
            if serving(made.sock, master) == to:
                return made
            others.append(made)  # kept open, so that the other process has more to do
        raise AssertionError(f"Process {to} accepts nothing.")
    finally:
        for other in others:
            other.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str] | None = None
) -> Answer:
    connection.request(method, path, headers=dict(headers or {}))
    response = connection.getresponse()
    return Answer(response.status, response.msg, response.read())
