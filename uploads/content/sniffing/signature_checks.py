"""Building blocks of the checks of all formats: numbers in the head of a file, and simple checks.

Bytes beyond the end of the head are read as zeros, so nothing here raises.
"""

import re
from collections.abc import Callable

HEAD_SIZE = 65536
"""Size of the head: how many bytes of the content the checks may look at."""

# Characters that text files do not have. TAB, LF, FF and CR are part of text, and SUB ends a text file of DOS. NEL
# and the like are allowed because they are letters and quotes in Windows-1252.
CONTROL = "[\x00-\x08\x0b\x0e-\x19\x1b-\x1f]"
_CONTROL_BYTES = re.compile(CONTROL.encode())
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Check = Callable[[bytes], bool]


def is_binary(head: bytes) -> bool:
    """Whether the head is not text: a fast check, as binary content has control characters in its first bytes."""
    return not head.startswith(_UTF_16) and _CONTROL_BYTES.search(head) is not None


def always(head: bytes) -> bool:
    return True


def contains(value: bytes) -> Check:
    return lambda head: value in head


def starts_with(*values: bytes) -> Check:
    """For formats whose magic comes after the name of a container, as in RIFF."""
    return lambda head: head.startswith(values)


def be(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size])


def le(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size], "little")
