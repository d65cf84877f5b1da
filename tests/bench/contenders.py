"""Who takes part: how each is started, how a file is sent to it, and how we know that it has it."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .client import BenchError, Request, form, send
from .payload import Payload
from .servers import Running, gunicorn, install_tus, module, node_tus, uvicorn

Command = Callable[[int, Path], list[str]]
MILLRACE = "millrace"
RAW = Request("PUT", "/raw")
_TUS = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True)
class Contender:
    key: str
    title: str
    server: str  # several may share one
    request: Request | None  # None speaks tus
    hashes: bool = True

    def upload(self, host: Running, payload: Payload) -> str:
        """Send it all, within the time that is measured. Returns the digest that was answered, if one was."""
        if self.request is None:
            created = send(host.port, Request("POST", "/files", {**_TUS, "Upload-Length": str(payload.size)}))
            where = created.headers["location"]
            patch = {**_TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            send(host.port, Request("PATCH", where, patch), payload)
            return ""
        return send(host.port, authorized(self.request, host), payload).sha256


def authorized(request: Request, host: Running) -> Request:
    """Millrace takes nothing from strangers."""
    if host.server is None:
        return request
    headers = {**request.headers, "Authorization": f"Bearer {host.server.tokens['alice']}"}
    return Request(request.method, request.path, headers, request.before, request.after)


CONTENDERS = [
    Contender("reference", "reference receiver, raw", "reference", RAW),
    Contender("ours-raw", "Millrace, raw PUT", MILLRACE, Request("PUT", "/api/v1/upload/film.mp4")),
    Contender("ours-form", "Millrace, form", MILLRACE, form("/api/v1/files/")),
    Contender("fastapi-raw", "FastAPI, raw stream", "fastapi", RAW),
    Contender("fastapi-64k", "FastAPI, UploadFile, 64 KB loop", "fastapi", form("/form-64k")),
    Contender("fastapi-1m", "FastAPI, UploadFile, 1 MB loop", "fastapi", form("/form-1m")),
    Contender("flask", "Flask, save() and re-read", "flask", form("/form")),
    Contender("django", "Django's stock handler and re-read", "django", form("/form")),
    Contender("tus", "@tus/server, file store (does not hash)", "tus", None, hashes=False),
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
