"""Where a peer puts what it got, and how it makes sure of it."""

import hashlib
import os
import uuid
from pathlib import Path

FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))


def new_path() -> Path:
    return FOLDER / f"{uuid.uuid4().hex}.stored"


def sync_and_reread(path: Path) -> str:
    """For those that hash only once all is written."""
    with path.open("rb+") as stored:
        os.fdatasync(stored.fileno())
        return hashlib.file_digest(stored, "sha256").hexdigest()
