"""The secret key that is made at the first start and kept beside the data. Who can read the data can read the key.

It must never change: signed links, sessions and their signatures depend on it.
"""

import secrets
from pathlib import Path

from config.processes.file_locks import exclusive
from uploads.sinks.local import filesystem


def kept_key(path: Path) -> str:
    """The key in this file, which is made if it is missing or empty. Processes that start at once agree on one."""
    if key := _read(path):
        return key
    with exclusive(path.with_name("start.lock")):
        if not (key := _read(path)):
            key = secrets.token_urlsafe(50)
            _write(path, key)
    return key


def _read(path: Path) -> str:
    """Nothing where it is missing, or was left empty by a crash or a full disk."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _write(path: Path, key: str) -> None:
    """It gets its name when it is whole and on the disk. What a crash leaves is overwritten by the next start."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)  # its mode might be another
    filesystem.write_synced(unfinished, key.encode())
    unfinished.replace(path)
    filesystem.sync_folder(path.parent)
