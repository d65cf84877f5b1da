"""Ports for servers of tests.

Each test process has ports of its own, and gives none twice: that of a server which is just started again is left
alone. They lie below those that the system gives to a program that asks for any.
"""

import contextlib
import os
import random
import socket

_OURS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_ALL = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS = list(range(11_000 + _OURS, 32_000, _ALL))
random.shuffle(_PORTS)


def free_port() -> int:
    while True:
        port = _PORTS.pop()
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
