"""Ingests of a file that changes while it is read, in a server's Django. Tests run these by Server.call."""

import os
from collections.abc import Callable
from pathlib import Path

from django.contrib.auth.models import User

from uploads.errors import Refusal
from uploads.transfers.ingest.files import Mode, ingest_file


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _shrink(path: Path) -> None:
    os.truncate(path, 2_000_000)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(10)
        file.write(b"other")


CHANGES: dict[str, Callable[[Path], None]] = {"grow": _grow, "shrink": _shrink, "overwrite": _overwrite}


def ingest_while_it_changes(path: str, change: str, mode: str) -> str:
    """Change the file once its first piece was read. Returns the refusal."""
    film, is_changed = Path(path), False

    def change_once(size: int) -> None:
        nonlocal is_changed
        if not is_changed:
            is_changed = True
            CHANGES[change](film)

    try:
        ingest_file(film, User.objects.get(username="alice"), Mode(mode), change_once)
    except Refusal as refusal:
        return f"{refusal.code} {refusal.detail}"
    return ""
