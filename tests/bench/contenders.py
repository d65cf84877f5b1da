"""Who takes part: how each is started, how a file is sent to it, and how we know that it has it."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .client import BenchError, Request, connect, exchange, form, send
from .payload import Payload
from .servers import Running, gunicorn, install_tus, module, node_tus, uvicorn

Command = Callable[[int, Path], list[str]]
MILLRACE = "millrace"
RAW = Request("PUT", "/raw")
_TUS = {"Tus-Resumable": "1.0.0"}
_PATCH = {**_TUS, "Connection": "keep-alive", "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True)
class Contender:
    key: str
    title: str
    server: str  # several may share one
    request: Request  # of tus, the one that creates
    hashes: bool = True
    piece: int | None = None  # of each PATCH of tus; 0 sends all in one

    def upload(self, host: Running, payload: Payload) -> str:
        """Send it all, within the time that is measured. Returns the digest that was answered, if one was."""
        if self.piece is None:
            return send(host.port, authorized(self.request, host), payload).sha256
        length = {"Upload-Length": str(payload.size)}
        create = Request(self.request.method, self.request.path, {**_TUS, **length})
        where = send(host.port, authorized(create, host)).headers["location"]
        step = self.piece or payload.size
        with connect(host.port) as wire:  # one for all, as clients have it
            for start in range(0, payload.size, step):
                patch = Request("PATCH", where, {**_PATCH, "Upload-Offset": str(start)})
                exchange(wire, authorized(patch, host), payload, slice(start, start + step))
        return ""


def authorized(request: Request, host: Running) -> Request:
    """Millrace takes nothing from strangers."""
    if host.server is None:
        return request
    headers = {**request.headers, "Authorization": f"Bearer {host.server.tokens['alice']}"}
    return Request(request.method, request.path, headers, request.before, request.after)


TUS = Request("POST", "/api/v1/uploads/")
CONTENDERS = [
    Contender("reference", "reference receiver, raw", "reference", RAW),
    Contender("ours-raw", "Millrace, raw PUT", MILLRACE, Request("PUT", "/api/v1/upload/film.mp4")),
    Contender("ours-form", "Millrace, form", MILLRACE, form("/api/v1/files/")),
    Contender("ours-tus", "Millrace, tus, one PATCH", MILLRACE, TUS, piece=0),
    Contender("ours-tus-5m", "Millrace, tus, PATCHes of 5 MB", MILLRACE, TUS, piece=5_000_000),
    Contender("fastapi-raw", "FastAPI, raw stream", "fastapi", RAW),
    Contender("fastapi-64k", "FastAPI, UploadFile, 64 KB loop", "fastapi", form("/form-64k")),
    Contender("fastapi-1m", "FastAPI, UploadFile, 1 MB loop", "fastapi", form("/form-1m")),
    Contender("flask", "Flask, save() and re-read", "flask", form("/form")),
    Contender("django", "Django's stock handler and re-read", "django", form("/form")),
    Contender("tus", "@tus/server, file store (does not hash)", "tus", Request("POST", "/files"), False, 0),
    Contender("tus-5m", "@tus/server, PATCHes of 5 MB (no hash)", "tus", Request("POST", "/files"), False, 5_000_000),
]

_NEEDS = {
    "fastapi": ("fastapi", "uvicorn", "aiofiles", "python_multipart", "httptools"),
    "flask": ("flask",),
}


def missing(server: str) -> str:
    """Why this server cannot take part here, or nothing."""
    absent = [name for name in _NEEDS.get(server, ()) if importlib.util.find_spec(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if server == "tus" and not (shutil.which("npm") and shutil.which("node")):
        return "there is no npm here"
    return ""


def peer_command(server: str, kept: Path) -> Command:
    if server == "tus":
        install_tus(kept / "tus")
        return node_tus(kept / "tus")
    commands = {
        "reference": module("tests.bench.peers.reference"),
        "fastapi": uvicorn("tests.bench.peers.fastapi_app:app"),
        "flask": gunicorn("tests.bench.peers.flask_app:app"),
        "django": gunicorn("tests.bench.peers.stock_django:application"),
    }
    return commands[server]


def stored_file(host: Running, payload: Payload) -> Path:
    """The one file that this upload left, of the right size."""
    whole = [path for path in host.folder.iterdir() if path.is_file() and path.stat().st_size == payload.size]
    if len(whole) != 1:
        raise BenchError(f"{len(whole)} files of {payload.size} bytes are in {host.folder}, not one")
    return whole[0]
