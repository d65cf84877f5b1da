"""SHA-256 of content: in a helper thread while a core is idle, and with a state that a later request continues."""

import hashlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from . import openssl_state
from .openssl_state import OpenSslSha256

CORES = os.cpu_count() or 1
# Pieces of at least this size are hashed by a helper thread: for smaller ones the hand-over costs more than hashing.
PARALLEL_SIZE = 128 * 1024
# One helper for each core besides the one that reads the body. Threads start when first needed.
_helpers = ThreadPoolExecutor(max_workers=max(1, CORES - 1), thread_name_prefix="sha256")
_idle_helpers = threading.BoundedSemaphore(max(1, CORES - 1))


class Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


def can_resume() -> bool:
    """Whether the state of a hash can be saved. If not, a resumed upload is read again when it is complete.

    An object store cannot do that: there, resumable uploads are refused.
    """
    return openssl_state.is_available


def _new() -> Hasher:
    return OpenSslSha256() if openssl_state.is_available else hashlib.sha256()


def _resumed(state: bytes) -> Hasher:
    if not can_resume() or len(state) != OpenSslSha256.SIZE:
        raise ValueError("this is not a saved state of SHA-256")
    return OpenSslSha256(state)


class Sha256:
    """SHA-256 that hashes in a helper thread, if one is idle, while the caller writes the same bytes.

    The caller must not change data of at least PARALLEL_SIZE bytes before its next call. `state` is a value that
    state() returned, in this process or another one: hashing continues from there.
    """

    def __init__(self, state: bytes | None = None) -> None:
        self._hash = _resumed(state) if state is not None else _new()
        self._pending: Future[None] | None = None

    def update(self, data: bytes | memoryview) -> None:
        self._wait()
        if len(data) >= PARALLEL_SIZE and CORES > 1 and _idle_helpers.acquire(blocking=False):
            self._pending = _helpers.submit(self._hash_in_helper, data)
        else:
            self._hash.update(data)

    def state(self) -> bytes | None:
        """Return the state for a later Sha256, or None if it cannot be saved."""
        self._wait()
        return self._hash.state() if isinstance(self._hash, OpenSslSha256) else None

    def hexdigest(self) -> str:
        self._wait()
        return self._hash.digest().hex()

    def _hash_in_helper(self, data: bytes | memoryview) -> None:
        try:
            self._hash.update(data)
        finally:
            _idle_helpers.release()

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
