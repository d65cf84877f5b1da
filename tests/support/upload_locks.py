"""Whether an upload's partial file is locked by a request, and whether that was asked to let go."""

import contextlib
import fcntl
from pathlib import Path

from tests.support.server import Server, query


def is_held(server: Server) -> bool:
    """Whether somebody is at an upload: its partial is locked."""
    return any(not can_lock(partial) for partial in partials(server))


def partials(server: Server) -> list[Path]:
    found = (server.media / "partial").glob("*")
    return [path for path in found if path.suffix != ".note"]


def can_lock(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def was_asked(server: Server, path: str) -> bool:
    [[asked]] = query(server, f"SELECT stop_asked FROM uploads_upload WHERE {is_at(path)}")  # noqa: S608
    return bool(asked)


def is_at(path: str) -> str:
    """The SQL that finds the upload of this address, whichever way the database writes a UUID."""
    pk = path.rpartition("/")[2]
    return f"CAST(id AS VARCHAR(36)) IN ('{pk}', '{pk.replace('-', '')}')"
