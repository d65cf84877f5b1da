"""Digests that a client sends for its body (RFC 9530: Content-Digest, Repr-Digest), parsed and verified."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import DigestMismatch, InvalidDigest
from .hashing import Hasher

# A member of a structured-field dictionary whose value is a byte sequence: sha-256=:base64:
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")
_ALGORITHMS = {"sha-256", "sha-512"}
_HEADERS = ("Content-Digest", "Repr-Digest")


@dataclass(slots=True)
class Claims:
    """The digests that a client sent for its encoded body: update() with the body, then verify()."""

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
                    f"The {name} of the body differs from the digest you sent: the body was damaged. Send it again."
                )


def parse_claims(headers: Mapping[str, str]) -> Claims:
    """Parse Content-Digest and Repr-Digest. Unknown algorithms are ignored, as the RFC demands."""
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
        raise InvalidDigest(f"{header} is malformed. Write it as: sha-256=:BASE64:")
    name, encoded = match.groups()
    return name, parse_digest(header, name, encoded, known=name in _ALGORITHMS)


def parse_digest(header: str, name: str, encoded: str, *, known: bool = True) -> bytes:
    """Decode a base64 digest. If the algorithm `name` is known, check the length too."""
    try:
        digest = base64.b64decode(encoded, validate=True)
    except ValueError as error:  # includes binascii.Error
        raise InvalidDigest(f"The {name} in {header} is not base64.") from error
    if known and len(digest) != len(_new_hasher(name).digest()):
        raise InvalidDigest(f"The {name} in {header} has {len(digest)} bytes, which is not the length of a {name}.")
    return digest


def _new_hasher(name: str) -> Hasher:
    """Accepts the names of Content-Digest (sha-256) and of Upload-Checksum (sha256)."""
    return hashlib.new(name.replace("-", ""))
