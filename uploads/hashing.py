"""Digests that a client claims for a body (RFC 9530), and their verdict."""

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from .errors import DigestMismatch, InvalidDigest

# A member of a structured-field dictionary whose value is a byte sequence: sha-256=:base64:
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")
_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
_HEADERS = ("Content-Digest", "Repr-Digest")


CORES = os.cpu_count() or 1
# Pieces from this size on are handed to a helper: for smaller ones, handing over costs more than hashing.
HANDED_OVER = 128 * 1024
# As many helpers as there are cores besides the one that reads. Threads start when first needed.
_helpers = ThreadPoolExecutor(max_workers=max(1, CORES - 1), thread_name_prefix="sha256")
_idle_helpers = threading.BoundedSemaphore(max(1, CORES - 1))


class Sha256:
    """SHA-256 that goes on in a helper thread, while one is idle, during the writing of the same bytes.

    What is given to `update`, from HANDED_OVER bytes on, must stay as it is until the next call.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pending: Future[None] | None = None

    def update(self, data: bytes | memoryview) -> None:
        self._settle()
        if len(data) >= HANDED_OVER and CORES > 1 and _idle_helpers.acquire(blocking=False):
            self._pending = _helpers.submit(self._help, data)
        else:
            self._hash.update(data)

    def hexdigest(self) -> str:
        self._settle()
        return self._hash.hexdigest()

    def _help(self, data: bytes | memoryview) -> None:
        try:
            self._hash.update(data)
        finally:
            _idle_helpers.release()

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


class Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(slots=True)
class Claims:
    """What a client says the encoded bytes of its body hash to; feed them, then ask for the verdict."""

    expected: list[tuple[str, bytes]] = field(default_factory=list)
    _hashers: dict[str, Hasher] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._hashers = {name: hashlib.new(_ALGORITHMS[name]) for name, _ in self.expected}

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
                raise DigestMismatch(
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
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise InvalidDigest(f"The {name} in {header} is not base64.") from error
    if name in _ALGORITHMS and len(digest) != hashlib.new(_ALGORITHMS[name]).digest_size:
        raise InvalidDigest(f"The {name} in {header} has {len(digest)} bytes, which no {name} has.")
    return name, digest
