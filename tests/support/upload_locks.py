"""Whether an upload's partial file is locked by a request."""

import contextlib
import fcntl
from pathlib import Path

from tests.support.server import Server


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
