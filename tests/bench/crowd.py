"""Many clients in one process: each sends some MB as fast as it can, then trickles, then ends.

They take turns, as clients on a network do; or all send at the same time all that the server takes.

A process of its own, pinned: `python -m tests.bench.crowd '{"port": …}'`. It prints one JSON object.
"""

import json
import selectors
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .client import Request
from .machine import pinned
from .payload import Payload, Source

BURST = 4 * 1000**2
AT_ONCE = 6 * 1024**2  # so much that a server may take each of them for a fast one
DRIP = 2048
EVERY = 0.5
PIECE = 256 * 1024


@dataclass(frozen=True)
class Orders:
    port: int
    clients: int
    hold: float  # seconds that the last one trickles
    limit: float  # seconds for everything
    source: str
    size: int  # of each upload: the burst, and enough to trickle
    token: str
    at_once: bool = False

    @property
    def burst(self) -> int:
        return AT_ONCE if self.at_once else BURST


@dataclass
class Result:
    right: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    connected: float = 0.0  # these on the clock of time.monotonic(), which all processes share
    half: float = 0.0  # when half of them had sent their burst, and when all had
    trickling: float = 0.0
    ending: float = 0.0
    ended: float = 0.0


class Client:
    def __init__(self, orders: Orders, payload: Payload) -> None:
        headers = {"Authorization": f"Bearer {orders.token}"}
        request = Request("PUT", "/api/v1/upload/film.mp4", headers)
        self.payload, self.answer, self.error = payload, b"", ""
        self._pending = [memoryview(request.head(payload.size) + payload.head), payload.rest]
        self._after_burst = len(payload.rest) - (orders.burst - len(payload.head))
        self.next_drip = self.burst_over = 0.0
        self.wire = socket.socket()
        self.wire.setblocking(False)
        self.wire.connect_ex(("127.0.0.1", orders.port))

    @property
    def left(self) -> int:
        return len(self._pending[-1]) if self._pending else 0

    @property
    def left_of_burst(self) -> int:
        """Never 0 before the burst is over: the request's head goes first, in one piece."""
        return PIECE if len(self._pending) > 1 else max(0, self.left - self._after_burst)

    @property
    def has_burst(self) -> bool:
        return self.left_of_burst == 0

    def send(self, most: int) -> None:
        try:
            sent = self.wire.send(self._pending[0][:most])
        except BlockingIOError:
            return
        except OSError as error:
            self.error = f"sending: {error.strerror}"
            self._pending = []
            return
        self._pending[0] = self._pending[0][sent:]
        if not self._pending[0]:
            self._pending.pop(0)

    @property
    def is_sent(self) -> bool:
        return not self._pending

    def receive(self) -> bool:
        """Whether there is no more to come."""
        try:
            data = self.wire.recv(65536)
        except BlockingIOError:
            return False
        except OSError as error:
            self.error = self.error or f"receiving: {error.strerror}"
            return True
        self.answer += data
        return not data

    def verdict(self) -> str:
        head, _, body = self.answer.partition(b"\r\n\r\n")
        status = head.partition(b"\r\n")[0].decode(errors="replace")
        if " 201 " not in status:
            return f"{status or 'no answer'} {self.error} {body[:200].decode(errors='replace')}".strip()
        return "" if json.loads(body)["sha256"] == self.payload.sha256 else "wrong digest"


class Crowd:
    def __init__(self, orders: Orders) -> None:
        source = Source(Path(orders.source), orders.size)
        self.orders, self.result = orders, Result()
        self.deadline = time.monotonic() + orders.limit
        self.clients = [Client(orders, Payload(source, orders.size)) for _ in range(orders.clients)]
        self.result.connected = time.monotonic()
        self.alive = set(self.clients)
        self.selector = selectors.DefaultSelector()
        for client in self.clients:
            self.selector.register(client.wire, selectors.EVENT_READ, client)

    def run(self) -> Result:
        self._until(lambda: all(client.has_burst for client in self.alive), self._burst)
        self.result.half = statistics.median(client.burst_over for client in self.clients) - EVERY
        self.result.trickling = time.monotonic()
        end = self.result.trickling + self.orders.hold
        self._until(lambda: time.monotonic() >= end, self._trickle, pause=0.02)
        self.result.ending = time.monotonic()
        self._until(lambda: not self.alive, self._finish)
        self.result.ended = time.monotonic()
        verdicts = Counter(client.verdict() for client in self.clients)
        self.result.right = verdicts.pop("", 0)
        self.result.wrong = dict(verdicts)
        return self.result

    def _until(self, done: Callable[[], bool], step: Callable[[Client, float], None], pause: float = 0.002) -> None:
        """Let each client take its step, and hear what comes back, until it is done or too late."""
        while self.alive and not done() and time.monotonic() < self.deadline:
            now = time.monotonic()
            for client in self.alive:
                step(client, now)
            for key, _ in self.selector.select(pause):
                if key.data.receive():
                    self.selector.unregister(key.fileobj)
                    key.data.wire.close()
                    self.alive.discard(key.data)

    def _burst(self, client: Client, now: float) -> None:
        if not client.has_burst:
            client.send(client.left_of_burst if self.orders.at_once else min(PIECE, client.left_of_burst))
            client.burst_over = client.next_drip = now + EVERY
        else:
            self._trickle(client, now)

    def _trickle(self, client: Client, now: float) -> None:
        if now >= client.next_drip and client.left > DRIP:
            client.send(DRIP)
            client.next_drip = now + EVERY

    def _finish(self, client: Client, now: float) -> None:
        if not client.is_sent:
            client.send(PIECE)


def main() -> None:
    with pinned():
        json.dump(asdict(Crowd(Orders(**json.loads(sys.argv[1]))).run()), sys.stdout)


if __name__ == "__main__":
    main()
