"""SHA-256 whose state can be saved and loaded: the only module that touches private parts of OpenSSL.

hashlib does not expose the state of a hash. Without it, an upload that continues in another process would have to be
read again from its first byte. So this module calls SHA256_Init, SHA256_Update and SHA256_Final of the libcrypto that
hashlib itself uses, which it finds through the private module `_hashlib`. The state is the 112 bytes of their
SHA256_CTX. If any of this is missing, `is_available` is False: Millrace then reads such an upload again when it is
complete, and refuses resumable uploads to an object store, which cannot do that.
"""

import ctypes
from typing import Any


def _load() -> Any:
    """Load the libcrypto that hashlib uses. None if Python has it built in, or is built without it."""
    try:
        import _hashlib

        found = ctypes.CDLL(_hashlib.__file__)
        return found if found.SHA256_Init and found.SHA256_Update and found.SHA256_Final else None
    except (ImportError, AttributeError, OSError):
        return None


_libcrypto = _load()
# Keeps the interpreter's lock: for a few bytes, taking it again costs more than hashing them.
_at_once = ctypes.PyDLL(_libcrypto._name) if _libcrypto else None
_FEW = 8 * 1024
is_available = _libcrypto is not None


class OpenSslSha256:
    """SHA-256 with a state. As fast as hashlib, and releases the interpreter's lock as it does."""

    SIZE = 112  # of a SHA256_CTX, since OpenSSL 0.9.8

    def __init__(self, state: bytes | None = None) -> None:
        self._context = ctypes.create_string_buffer(state or b"", self.SIZE)
        if state is None:
            _libcrypto.SHA256_Init(self._context)

    def update(self, data: bytes | memoryview, /) -> None:
        readable = data if isinstance(data, bytes) else _address(data)
        library = _at_once if len(data) <= _FEW and _at_once else _libcrypto
        library.SHA256_Update(self._context, readable, ctypes.c_size_t(len(data)))

    def state(self) -> bytes:
        return self._context.raw

    def digest(self) -> bytes:
        context = ctypes.create_string_buffer(self._context.raw, self.SIZE)  # SHA256_Final changes it
        digest = ctypes.create_string_buffer(32)
        _libcrypto.SHA256_Final(digest, context)
        return digest.raw


def _address(data: memoryview) -> Any:
    return bytes(data) if data.readonly else (ctypes.c_char * len(data)).from_buffer(data)
