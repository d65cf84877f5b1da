"""Files made here become content: their bytes under a key, durable, before any row speaks of them.

Whoever makes the rows does so in a transaction of its own (`storing.register`), or takes the bytes back
(`storing.discard`). Until then `registry.keys_in_use` keeps the sweeper away from them.
"""

from collections.abc import Callable
from pathlib import Path

from .conf import sink
from .hashing import Sha256
from .intake import Content

_PIECE = 1024**2


def deposit(path: Path, key: str, kind: str, media_type: str, seen: Callable[[int], object]) -> Content:
    """Hash a file and put its bytes under `key`. `seen` is told of every piece, and may raise to stop."""
    place, digest, size = sink(), Sha256(), 0
    adopted = place.adopt(path, key)
    writer = None if adopted else place.create(key, size=path.stat().st_size)
    try:
        with path.open("rb", buffering=0) as source:
            while piece := source.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                if writer is not None:
                    writer.write(piece)
                seen(len(piece))
        if writer is not None:
            writer.commit()
    except BaseException:
        if writer is not None:
            writer.abort()
        raise
    return Content(digest.hexdigest(), size, kind, media_type)
