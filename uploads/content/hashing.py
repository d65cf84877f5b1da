"""Digests that a client claims for a body (RFC 9530), and their verdict."""

import base64
import ctypes
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import DigestMismatch, InvalidDigest

# A member of a structured-field dictionary whose value is a byte sequence: sha-256=:base64:
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")
_ALGORITHMS = {"sha-256", "sha-512"}
_HEADERS = ("Content-Digest", "Repr-Digest")


CORES = os.cpu_count() or 1
# Pieces from this size on are handed to a helper: for smaller ones, handing over costs more than hashing.
HANDED_OVER = 128 * 1024
# As many helpers as there are cores besides the one that reads. Threads start when first needed.
_helpers = ThreadPoolExecutor(max_workers=max(1, CORES - 1), thread_name_prefix="sha256")
_idle_helpers = threading.BoundedSemaphore(max(1, CORES - 1))


class Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


def _load_libcrypto() -> Any:
    """The libcrypto behind hashlib, or None where it hides: some Pythons have it built in."""
    try:
        import _hashlib  # some builds have none

        found = ctypes.CDLL(_hashlib.__file__)
        return found if found.SHA256_Init and found.SHA256_Update and found.SHA256_Final else None
    except (ImportError, AttributeError, OSError):
        return None


_libcrypto = _load_libcrypto()
# Keeps the interpreter's lock, which for a few bytes costs more to get back than they take to hash.
_at_once = ctypes.PyDLL(_libcrypto._name) if _libcrypto else None
_FEW = 8 * 1024


class OpenContext:
    """SHA-256 by the libcrypto that Python itself uses, with a context that can be copied out and back.

    By hand, as hashlib hides its context, and an upload that goes on in another process would have to be read
    again from its first byte. As fast as hashlib, and lets go of the interpreter's lock as it does.
    """

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
        context = ctypes.create_string_buffer(self._context.raw, self.SIZE)  # finishing spoils it
        digest = ctypes.create_string_buffer(32)
        _libcrypto.SHA256_Final(digest, context)
        return digest.raw


def _address(data: memoryview) -> Any:
    return bytes(data) if data.readonly else (ctypes.c_char * len(data)).from_buffer(data)


def can_resume() -> bool:
    """Whether a Sha256 can tell its state. Where not, what goes on later is read again when it is complete."""
    return _libcrypto is not None


def _new() -> Hasher:
    return OpenContext() if _libcrypto else hashlib.sha256()


def _resumed(state: bytes) -> Hasher:
    if not can_resume() or len(state) != OpenContext.SIZE:
        raise ValueError("no SHA-256 can go on from this")
    return OpenContext(state)


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
        return self._hash.state() if isinstance(self._hash, OpenContext) else None

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


@dataclass(slots=True)
class Claims:
    """What a client says the encoded bytes of its body hash to; feed them, then ask for the verdict."""

    expected: list[tuple[str, bytes]] = field(default_factory=list)
    mismatch: type[DigestMismatch] = DigestMismatch
    _hashers: dict[str, Hasher] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._hashers = {name: _new_hasher(name) for name, _ in self.expected}

    def __bool__(self) -> bool:
        return bool(self.expected)

    def __str__(self) -> str:
        return ",".join(f"{name}={digest.hex()}" for name, digest in sorted(self.expected))

    def update(self, data: bytes | memoryview) -> None:
        for hasher in self._hashers.values():
            hasher.update(data)

    def verify(self) -> None:
        for name, digest in self.expected:
            if not hmac.compare_digest(self._hashers[name].digest(), digest):
                raise self.mismatch(
                    f"The body's {name} is not the one you sent. It was damaged on its way: send it again."
                )


def parse_claims(headers: Mapping[str, str]) -> Claims:
    """Read Content-Digest and Repr-Digest. Algorithms we do not know are left out, as the RFC asks."""
    expected: list[tuple[str, bytes]] = []
    for header in _HEADERS:
        for member in filter(None, (part.strip() for part in headers.get(header, "").split(","))):
            name, digest = _parse_member(header, member)
            if name in _ALGORITHMS:
                expected.append((name, digest))
    return Claims(expected)


def _parse_member(header: str, member: str) -> tuple[str, bytes]:
    match = _MEMBER.fullmatch(member)
    if match is None:
        raise InvalidDigest(f"{header} cannot be read. Write it as: sha-256=:BASE64:")
    name, encoded = match.groups()
    return name, parse_digest(header, name, encoded, known=name in _ALGORITHMS)


def parse_digest(header: str, name: str, encoded: str, *, known: bool = True) -> bytes:
    """The digest that `encoded` says in base64, as long as a `name` is if that is known."""
    try:
        digest = base64.b64decode(encoded, validate=True)
    except ValueError as error:  # binascii.Error is one, and what is not ASCII is another
        raise InvalidDigest(f"The {name} in {header} is not base64.") from error
    if known and len(digest) != len(_new_hasher(name).digest()):
        raise InvalidDigest(f"The {name} in {header} has {len(digest)} bytes, which no {name} has.")
    return digest


def _new_hasher(name: str) -> Hasher:
    """By its name in Content-Digest or in Upload-Checksum: sha-256 and sha256 are one."""
    return hashlib.new(name.replace("-", ""))
