"""What the checks of all formats are built from: numbers in the head of a file, and simple checks.

Beyond the end of the head there are zeros, so nothing here raises.
"""

import re
from collections.abc import Callable

HEAD_SIZE = 65536
"""How many bytes of the beginning a decision may need; fewer only when the content is shorter."""

# What no text file holds. TAB, LF, FF and CR belong to text; SUB is how DOS ended one; NEL and the like stay
# allowed because in Windows-1252 they are letters and quotes.
CONTROL = "[\x00-\x08\x0b\x0e-\x19\x1b-\x1f]"
_CONTROL_BYTES = re.compile(CONTROL.encode())
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Check = Callable[[bytes], bool]


def is_binary(head: bytes) -> bool:
    """Whether this is no text: most heads are binary, and tell so within their first few bytes."""
    return not head.startswith(_UTF_16) and _CONTROL_BYTES.search(head) is not None


def always(head: bytes) -> bool:
    return True


def holds(mark: bytes) -> Check:
    return lambda head: mark in head


def starts(*forms: bytes) -> Check:
    """For files whose first word says how they are packed, and only a later one what they are."""
    return lambda head: head.startswith(forms)


def be(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size])


def le(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size], "little")
