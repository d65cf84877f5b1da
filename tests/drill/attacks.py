"""What one hostile address may do, and what others feel of it: their pings, and an upload that is on its way.

The promise: p95 of a ping is at most 50 ms above that of an idle server, and the upload ends with its digest.
"""

import hashlib
import json
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.drill.attackers import Orders
from tests.drill.stage import Broken
from tests.support.server import ROOT, Server, Template

MOST_ABOVE_IDLE = 0.05  # seconds
SECONDS = 20.0
VICTIM = "127.0.0.77"
PATIENCE = 30.0
_PING_EVERY = 0.05
_PIECE, _PIECE_EVERY = 128 * 1024, 0.05  # of the upload

ATTACKS: dict[str, tuple[str, int]] = {
    "attacks: 600 slow bodies": ("slow bodies", 600),
    "attacks: 5,000 half heads": ("half heads", 5000),
    "attacks: 500 parallel wrong logins": ("wrong logins", 500),
    "attacks: 200 parallel requests for the schema": ("schema", 200),
}


@dataclass
class Felt:
    """What a neighbour of the attacker measured."""

    pings: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    longest_wait: float = 0.0  # of the upload, for the server to take its next piece

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.pings, n=20)[-1] if len(self.pings) > 1 else float("inf")


@contextmanager
def target(template: Template, folder: Path) -> Iterator[Server]:
    """A server with the settings that it has by default."""
    home = folder / "attacked"
    defaults = {"THREADS": "512", "CONNECTIONS_PER_ADDRESS": ""}
    server = Server(home, template.tokens, template.copy_to(home), defaults)
    try:
        server.start()
        yield server
    finally:
        server.end()


def idle_p95(server: Server) -> float:
    felt = Felt()
    _ping_until(server, felt, time.monotonic() + SECONDS / 4)
    return felt.p95


def attack(server: Server, name: str, film: bytes, idle: float, seconds: float = SECONDS) -> str:
    """Answers with what was measured."""
    kind, clients = ATTACKS[name]
    orders = Orders(kind, server.port, clients, seconds)
    felt, until = Felt(), time.monotonic() + seconds
    upload = threading.Thread(target=_upload_until, args=(server, felt, film, until))
    attackers = subprocess.Popen(
        [sys.executable, "-m", "tests.drill.attackers", json.dumps(asdict(orders))], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        upload.start()
        _ping_until(server, felt, until)
        upload.join()
        happened, _ = attackers.communicate(timeout=seconds + PATIENCE)
    finally:
        attackers.kill()
    story = (
        f"ping p95 {felt.p95 * 1000:.1f} ms, idle {idle * 1000:.1f} ms; the upload waited {felt.longest_wait:.2f} s"
        f" at most; the attackers: {json.loads(happened or '{}')}"
    )
    if felt.failures:
        raise Broken(f"{dict(felt.failures)}; {story}")
    if felt.p95 > idle + MOST_ABOVE_IDLE:
        raise Broken(story)
    return story


def _connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE, source_address=(VICTIM, 0))


def _ping_until(server: Server, felt: Felt, until: float) -> None:
    while (began := time.monotonic()) < until:
        try:
            with _connect(server) as wire:
                wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if not wire.recv(1000).startswith(b"HTTP/1.1 200"):
                    felt.failures["wrong answers to a ping"] += 1
        except OSError as error:
            felt.failures[f"pings failed: {error}"] += 1
        felt.pings.append(time.monotonic() - began)
        time.sleep(_PING_EVERY)


def _upload_until(server: Server, felt: Felt, film: bytes, until: float) -> None:
    """Send a file piece by piece until then, as large as that makes it."""
    try:
        answer = _upload(server, felt, film, until)
    except OSError as error:
        felt.failures[f"the upload failed: {error}"] += 1
        return
    if answer:
        felt.failures[f"the upload was answered: {answer}"] += 1


def _upload(server: Server, felt: Felt, film: bytes, until: float) -> str:
    head = (
        "PUT /api/v1/upload/film.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close"
    )
    digest, piece = hashlib.sha256(), film[:4096] + random.randbytes(_PIECE - 4096)
    with _connect(server) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)  # or its waits would not show
        wire.sendall(f"{head}\r\nAuthorization: Bearer {server.tokens['alice']}\r\n\r\n".encode())
        while (began := time.monotonic()) < until:
            digest.update(piece)
            wire.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            felt.longest_wait = max(felt.longest_wait, time.monotonic() - began)
            time.sleep(_PIECE_EVERY)
        wire.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    return "" if b" 201 " in answer[:20] and digest.hexdigest().encode() in answer else answer[:300].decode("latin1")
