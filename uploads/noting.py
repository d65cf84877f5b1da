"""Where SHA-256 has come to, noted beside the bytes: the next turn, in whatever process, goes on from there."""

import json
from collections.abc import Iterator
from typing import Any

from .conf import sink
from .hashing import Sha256
from .intake import Intake
from .sinks.base import Writer
from .sniffing import Kind, MediaType

_PIECE = 1024**2


def note(intake: Intake, writer: Writer) -> bool:
    """Say beside the bytes how far they are hashed, and what they are. False where that cannot be said."""
    # A write that failed half way has left the hash ahead of the bytes: then the earlier note stays.
    state = intake.hash.state() if intake.is_judged and writer.offset == intake.offset else None
    if state is None:
        return False
    media = intake.media
    said = {"offset": intake.offset, "sha256": state.hex(), "media": media and [media.kind, media.name]}
    writer.note(json.dumps(said))
    return True


def where_it_was(key: str, offset: int) -> dict[str, Any]:
    """Where an Intake can go on by the note beside the bytes; from the beginning if there is none that fits."""
    try:
        said = json.loads(sink().noted(key))
        if said["offset"] > offset:
            return {}
        media = MediaType(Kind(said["media"][0]), said["media"][1]) if said["media"] else None
        return {"offset": said["offset"], "media": media, "hash": Sha256(bytes.fromhex(said["sha256"]))}
    except (ValueError, KeyError, TypeError):
        return {}


def hash_all(key: str) -> Sha256:
    found = Sha256()
    for piece in pieces(key, 0):
        found.update(piece)
    return found


def pieces(key: str, start: int) -> Iterator[bytes]:
    with sink().open_partial(key, start) as reader:
        while piece := reader.read(_PIECE):
            yield piece
