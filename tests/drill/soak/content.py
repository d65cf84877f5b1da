"""Films of any size that nobody has seen, of which a number is all that must be kept to know each byte again."""

import hashlib
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Content:
    """A real film, and behind it a box of random bytes that players skip."""

    film: bytes
    number: int
    more: int
    sha256: str = ""

    def bytes(self) -> bytes:
        more = random.Random(self.number).randbytes(self.more)
        return self.film + (8 + len(more)).to_bytes(4, "big") + b"free" + more


def unseen(film: bytes, more: int) -> tuple[Content, bytes]:
    number = random.getrandbits(64)
    data = Content(film, number, more).bytes()
    return Content(film, number, more, hashlib.sha256(data).hexdigest()), data
