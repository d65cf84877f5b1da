"""A search in bytes where they lie."""

import ctypes
from collections.abc import Callable
from typing import Any

_Beginning = ctypes.c_char * 0  # of a view of any length


def _find_memmem() -> Callable[[int, int, bytes, int], int | None] | None:
    """The C library's search: twice as fast as `bytes.find`, and it needs no bytes, which would be a copy.

    POSIX has it since 2024, and the systems that we know long before.
    """
    # PyDLL, as letting go of the interpreter's lock, and getting it back, takes longer than most searches.
    function: Any = getattr(ctypes.PyDLL(None), "memmem", None)
    if function is not None:
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
        function.restype = ctypes.c_void_p
    found: Callable[[int, int, bytes, int], int | None] | None = function
    return found


_memmem = _find_memmem()


def find(wanted: bytes, data: bytes | memoryview) -> int:
    """Where `wanted` first stands in `data`, or -1. A view must be one of memory that can be written to."""
    if _memmem is None or isinstance(data, bytes):
        return bytes(data).find(wanted)
    beginning = _Beginning.from_buffer(data)
    start = ctypes.addressof(beginning)
    found = _memmem(start, len(data), wanted, len(wanted))
    return -1 if found is None else found - start
