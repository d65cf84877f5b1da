"""Save the state of SHA-256 beside the bytes of a resumable upload, so that any process can continue it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from ...content.hashing import Sha256, can_resume
from ...content.intake import Intake
from ...content.sniffing import Kind, MediaType
from ...errors import NoResumableUploads
from ...runtime.boot_id import BOOT_ID as BOOT_ID
from ...sinks.resumable import ResumableSink, ResumableWriter

log = structlog.get_logger(__name__)
_PIECE = 1024**2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The hash state and media type of the first `offset` bytes of an open write."""

    offset: int
    state: bytes  # of a Sha256
    media: MediaType | None
    boot_id: str | None = BOOT_ID  # None if an earlier version wrote it

    def intake_state(self) -> dict[str, Any]:
        """The arguments of an Intake that continues from here."""
        return {"offset": self.offset, "media": self.media, "hash": Sha256(self.state)}

    def to_json(self) -> str:
        media = self.media and [self.media.kind, self.media.name]
        found = {"offset": self.offset, "sha256": self.state.hex(), "media": media}
        return json.dumps(found | {"boot_id": BOOT_ID})

    @classmethod
    def from_json(cls, text: str) -> "Checkpoint | None":
        try:
            found = json.loads(text)
            media = MediaType(Kind(found["media"][0]), found["media"][1]) if found["media"] else None
            checkpoint = cls(found["offset"], bytes.fromhex(found["sha256"]), media, found.get("boot_id"))
            Sha256(checkpoint.state)
        except (ValueError, KeyError, TypeError):
            return None
        return checkpoint


def can_continue(place: ResumableSink) -> bool:
    """Whether a later request can hash on: from a saved state, or by reading the earlier bytes again."""
    return can_resume() or place.reads_open_writes


def require_continuable(place: ResumableSink) -> None:
    if not can_continue(place):
        raise NoResumableUploads(
            "This server takes no resumable uploads: its Python cannot save the state of a hash, and its store "
            "cannot read the bytes of an unfinished upload again. Send the file in one request."
        )


def save(intake: Intake, writer: ResumableWriter) -> bool:
    """Write a checkpoint of the bytes received so far. False if that is not possible yet."""
    # After a write that failed half way, the hash is ahead of the bytes: then the earlier checkpoint stays.
    state = intake.hash.state() if intake.is_sniffed and writer.offset == intake.offset else None
    if state is None:
        return False
    writer.save_checkpoint(Checkpoint(intake.offset, state, intake.media).to_json())
    return True


def load(place: ResumableSink, writer: ResumableWriter) -> Checkpoint | None:
    """Read the checkpoint. None if there is none, or if it does not match the bytes."""
    found = Checkpoint.from_json(place.read_checkpoint(writer.key))
    if found is not None and found.offset > writer.offset:
        found = None
    if (found.offset if found else 0) < writer.readable_from:
        # An earlier version wrote it, perhaps. The hash cannot be continued.
        log.error("upload_checkpoint_unreadable", key=writer.key, offset=writer.offset)
        writer.truncate(0)
        return None
    if found is None or writer.flushes_atomically or found.boot_id == BOOT_ID:
        return found
    return found if _verify_after_boot(place, found, writer) else None


def _verify_after_boot(place: ResumableSink, found: Checkpoint, writer: ResumableWriter) -> bool:
    """Check a checkpoint of an earlier boot: a power cut may have lost bytes before it.

    The bytes are hashed again. If the hash differs, it is unknown which bytes are wrong, and the client sends all of
    them again. Bytes after the checkpoint were never acknowledged, and are cut off.
    """
    if hash_bytes(place, writer.key, found.offset).hexdigest() != Sha256(found.state).hexdigest():
        log.error("upload_bytes_lost", key=writer.key, offset=found.offset)
        writer.truncate(0)
        return False
    writer.truncate(found.offset)
    writer.save_checkpoint(found.to_json())
    return True


def hash_bytes(place: ResumableSink, key: str, size: int) -> Sha256:
    """Hash the first `size` bytes of an open write."""
    found = Sha256()
    for piece in pieces(place, key, 0):
        found.update(piece[:size])
        size -= len(piece[:size])
        if not size:
            break
    return found


def pieces(place: ResumableSink, key: str, start: int) -> Iterator[bytes]:
    """Read an open write from `start` to its end."""
    with place.open_partial(key, start) as reader:
        while piece := reader.read(_PIECE):
            yield piece
