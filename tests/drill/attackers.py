"""Many hostile clients of one address in one process: `python -m tests.drill.attackers '{"kind": …, "port": …}'`.

They only ever reach 127.0.0.1, come from one address of 127.0.0.0/8, and end by themselves. Prints one JSON object:
how often each thing happened to them.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.bench.machine import allow_open_files

MOST_CLIENTS, MOST_SECONDS = 5000, 60.0
_TOKEN = "abcdefghijklmnopqrstuvwxyz012345"  # of a CSRF cookie, and of the field that fits it: anybody can make it up
_COOKIE = f"Cookie: csrftoken={_TOKEN}"
_PAGES = ("/admin/login/", "/", "/healthz", "/api/v1/files/", "/api/v1/jobs/", "/admin/uploads/mediafile/add/")
_AGAIN = 1.0  # seconds after which one that was refused tries again


@dataclass(frozen=True)
class Orders:
    kind: str
    port: int
    clients: int
    seconds: float
    address: str = "127.0.0.66"


@dataclass
class Crowd:
    orders: Orders
    until: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        self.until = time.monotonic() + min(self.orders.seconds, MOST_SECONDS)
        act = KINDS[self.orders.kind]
        await asyncio.gather(*(self._go_on(act(number)) for number in range(min(self.orders.clients, MOST_CLIENTS))))

    async def _go_on(self, attack: "Attack") -> None:
        while (left := self.until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left), self._connection() as (answers, wire):
                    self.happened["connected"] += 1
                    self.happened[await attack.play(answers, wire)] += 1
                await asyncio.sleep(attack.pause)
            except TimeoutError:
                return
            except OSError:
                self.happened["refused or cut off"] += 1
                await asyncio.sleep(_AGAIN)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        opened = asyncio.open_connection("127.0.0.1", self.orders.port, local_addr=(self.orders.address, 0))
        answers, wire = await opened
        try:
            yield answers, wire
        finally:
            wire.transport.abort()


@dataclass
class Attack:
    """What one client sends, again and again."""

    first: bytes
    then: bytes = b""
    every: float = 3.0  # seconds between two of what comes then
    pause: float = 0.0  # before the next time

    async def play(self, answers: asyncio.StreamReader, wire: asyncio.StreamWriter) -> str:
        """Returns how it was answered."""
        wire.write(self.first)
        answer = asyncio.ensure_future(answers.readline())
        while not answer.done():
            await asyncio.wait([answer], timeout=self.every)
            if not answer.done():
                wire.write(self.then)
        words = answer.result().split()
        await answers.read()  # to its end, as a client would
        return words[1].decode() if len(words) > 1 else "refused or cut off"


def _head(request: str, *lines: str) -> bytes:
    return "\r\n".join([f"{request} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines, "", ""]).encode()


def slow_body(number: int) -> Attack:
    lines = "Content-Type: multipart/form-data; boundary=b", "Content-Length: 90000", _COOKIE
    form = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    return Attack(_head(f"POST {_PAGES[number % len(_PAGES)]}", *lines) + form, then=b"a", pause=3.0)


def half_head(_: int) -> Attack:
    return Attack(_head("GET /healthz")[:-2] + b"X-Long: ", then=b"a")


def wrong_login(number: int) -> Attack:
    form = f"csrfmiddlewaretoken={_TOKEN}&username=admin&password=wrong-{number}".encode()
    lines = "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}", _COOKIE
    return Attack(_head("POST /admin/login/", *lines) + form)


def schema(_: int) -> Attack:
    return Attack(_head("GET /api/v1/schema/"))


KINDS: dict[str, Callable[[int], Attack]] = {
    "slow bodies": slow_body,
    "half heads": half_head,
    "wrong logins": wrong_login,
    "schema": schema,
}


def main() -> None:
    orders = Orders(**json.loads(sys.argv[1]))
    if not allow_open_files(orders.clients + 100):
        sys.exit(f"{orders.clients} clients need a higher limit of open files (ulimit -n)")
    crowd = Crowd(orders)
    asyncio.run(crowd.run())
    json.dump(crowd.happened, sys.stdout)


if __name__ == "__main__":
    main()
