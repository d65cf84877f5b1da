"""The secret key. It is generated at the first start and kept in HOME, with the same access as the data.

Signed links and sessions are valid only as long as the key does not change.
"""

import secrets
from pathlib import Path

from config.processes.file_locks import exclusive
from uploads.sinks.local import filesystem_layout


def kept_key(path: Path) -> str:
    """Read the key from this file, or generate it. Processes that start at the same time use the same key."""
    if key := _read(path):
        return key
    with exclusive(path.with_name("start.lock")):
        if not (key := _read(path)):
            key = secrets.token_urlsafe(50)
            _write(path, key)
    return key


def _read(path: Path) -> str:
    """The key; empty if the file is missing, or empty after a crash or on a full disk."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _write(path: Path, key: str) -> None:
    """Write the key under another name, sync it, and rename it. After a crash the next start writes it again."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)  # a file of a crash may have another mode
    filesystem_layout.write_synced(unfinished, key.encode())
    unfinished.replace(path)
    filesystem_layout.sync_folder(path.parent)
