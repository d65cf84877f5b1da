"""How fast one file goes out, from us and from nginx: the same file, of the same disk."""

import hashlib
import os
import shutil
import socket
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import Template

from .client import PATIENCE, BenchError, Request
from .contenders import CONTENDERS, authorized
from .machine import pinned
from .payload import Payload, Source
from .servers import Running, millrace, running

_BUFFER = 1024**2
_NGINX = """
daemon off; master_process off; worker_processes 1; {user}
pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; location = /film {{ alias {file}; }} }}
}}
"""


@dataclass
class Download:
    title: str
    rates: list[float] = field(default_factory=list)
    left_out: str = ""

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


def nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def fetch(port: int, request: Request, size: int, digest: "hashlib._Hash | None" = None) -> float:
    """Seconds for the whole answer. Hashing slows the client down: it is done in a turn that is not timed."""
    buffer = memoryview(bytearray(_BUFFER))
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        wire.sendall(request.head(0))
        head = b""
        while b"\r\n\r\n" not in head:
            data = wire.recv(4096)
            if not data:
                raise BenchError(f"download: no answer but {head[:200]!r}")
            head += data
        head, _, first = head.partition(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise BenchError(f"download: {head[:200]!r}")
        got = len(first)
        if digest is not None:
            digest.update(first)
        while got < size and (count := wire.recv_into(buffer)):
            got += count
            if digest is not None:
                digest.update(buffer[:count])
    if got != size:
        raise BenchError(f"download: {got} bytes came, not {size}")
    return time.perf_counter() - started


def measure(rounds: int, size: int, source: Source, template: Template, scratch: Path) -> list[Download]:
    ours, theirs = Download("Millrace"), Download("nginx")
    payload = Payload(source, size)
    contender = next(found for found in CONTENDERS if found.key == "ours-raw")
    with millrace(template, scratch / "download") as host:
        if contender.upload(host, payload) != payload.sha256:
            raise BenchError("the digest is wrong")
        file, path = _stored(host, size)
        if (program := nginx()) is None:
            theirs.left_out = "there is no nginx here"
            _turns([(ours, host.port, authorized(Request("GET", path), host))], rounds, payload)
            return [ours, theirs]

        def command(port: int, folder: Path) -> list[str]:
            config = folder / "nginx.conf"
            user = "user root;" if os.geteuid() == 0 else ""
            config.write_text(_NGINX.format(folder=folder, port=port, file=file, user=user))
            return [program, "-p", str(folder), "-c", str(config)]

        with running(command, scratch / "nginx") as other:
            turns = [
                (ours, host.port, authorized(Request("GET", path), host)),
                (theirs, other.port, Request("GET", "/film")),
            ]
            _turns(turns, rounds, payload)
    return [ours, theirs]


def _turns(turns: list[tuple[Download, int, Request]], rounds: int, payload: Payload) -> None:
    for number in range(rounds):
        for who, port, request in turns if number % 2 else turns[::-1]:
            digest = hashlib.sha256()
            with pinned():
                fetch(port, request, payload.size, digest)
                seconds = fetch(port, request, payload.size)
            if digest.hexdigest() != payload.sha256:
                raise BenchError(f"download from {who.title}: the digest is wrong")
            who.rates.append(payload.size / seconds)


def _stored(host: Running, size: int) -> tuple[Path, str]:
    assert host.server is not None
    listed = host.server.get("/api/v1/files/", user="alice").json()
    file = next(path for path in host.server.local_files() if path.stat().st_size == size)
    return file, f"/api/v1/files/{listed['results'][0]['id']}/content"
