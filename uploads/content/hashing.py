"""SHA-256 of content, in a helper thread while a core is idle, and with a state that a later request goes on from."""

import hashlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from . import openssl_state
from .openssl_state import OpenSslSha256

CORES = os.cpu_count() or 1
# Pieces from this size on are handed to a helper: for smaller ones, handing over costs more than hashing.
HANDED_OVER = 128 * 1024
# As many helpers as there are cores besides the one that reads. Threads start when first needed.
_helpers = ThreadPoolExecutor(max_workers=max(1, CORES - 1), thread_name_prefix="sha256")
_idle_helpers = threading.BoundedSemaphore(max(1, CORES - 1))


class Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


def can_resume() -> bool:
    """Whether a Sha256 can tell its state. Where not, what goes on later is read again when it is complete."""
    return openssl_state.is_available


def _new() -> Hasher:
    return OpenSslSha256() if openssl_state.is_available else hashlib.sha256()


def _resumed(state: bytes) -> Hasher:
    if not can_resume() or len(state) != OpenSslSha256.SIZE:
        raise ValueError("no SHA-256 can go on from this")
    return OpenSslSha256(state)


class Sha256:
    """SHA-256 that goes on in a helper thread, while one is idle, during the writing of the same bytes.

    What is given to `update`, from HANDED_OVER bytes on, must stay as it is until the next call. With `state`, a
    hash goes on where another one, perhaps of another process, was when it gave its `state`.
    """

    def __init__(self, state: bytes | None = None) -> None:
        self._hash = _resumed(state) if state is not None else _new()
        self._pending: Future[None] | None = None

    def update(self, data: bytes | memoryview) -> None:
        self._settle()
        if len(data) >= HANDED_OVER and CORES > 1 and _idle_helpers.acquire(blocking=False):
            self._pending = _helpers.submit(self._help, data)
        else:
            self._hash.update(data)

    def state(self) -> bytes | None:
        """What a later hash needs to go on from here; None where it cannot be told."""
        self._settle()
        return self._hash.state() if isinstance(self._hash, OpenSslSha256) else None

    def hexdigest(self) -> str:
        self._settle()
        return self._hash.digest().hex()

    def _help(self, data: bytes | memoryview) -> None:
        try:
            self._hash.update(data)
        finally:
            _idle_helpers.release()

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
