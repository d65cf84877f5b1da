"""Parse and write the headers of tus 1.0. Does not use storage."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from ..content.digests import Claims, parse_digest
from ..errors import ChecksumMismatch, InvalidMetadata, InvalidParams, UnsupportedRequest, UnsupportedVersion

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
CHECKSUMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"
# Metadata keys that clients use for the file name, in order of preference.
_NAMES = ("filename", "name")
_FILE_METADATA = "metadata"
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_KEY = re.compile(r"[!-+\--~]+")  # visible ASCII but the comma

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Creation:
    length: int | None  # None: deferred
    name: str
    metadata: str
    has_body: bool


@dataclass(frozen=True, slots=True)
class Patch:
    offset: int
    length: int | None  # sent now for an upload whose length was deferred
    claims: Claims


def require_version(headers: Headers) -> None:
    if headers.get("Tus-Resumable") != VERSION:
        raise UnsupportedVersion(f"Send Tus-Resumable: {VERSION}. No other version of tus is supported.")


def read_creation(headers: Headers) -> Creation:
    if "Upload-Concat" in headers:
        # Ignoring it would make a file of each part.
        raise InvalidParams("Concatenation (Upload-Concat) is not supported. Send the file as one upload.")
    length, deferred = _number(headers, "Upload-Length"), headers.get("Upload-Defer-Length")
    if deferred not in {None, "1"}:
        raise InvalidParams("Upload-Defer-Length must be 1 or absent.")
    if (length is None) == (deferred is None):
        raise InvalidParams("Send either Upload-Length, or Upload-Defer-Length: 1 if the length is not known yet.")
    metadata = headers.get("Upload-Metadata", "").strip()
    has_body = _has_body(headers)
    if has_body:
        _require_content_type(headers)
    return Creation(length, _name_in(parse_metadata(metadata)), metadata, has_body)


def read_patch(headers: Headers) -> Patch:
    _require_content_type(headers)
    offset = _number(headers, "Upload-Offset")
    if offset is None:
        raise InvalidParams("Send the position of the first byte as Upload-Offset.")
    return Patch(offset, _number(headers, "Upload-Length"), parse_checksum(headers))


def parse_checksum(headers: Headers) -> Claims:
    header = headers.get("Upload-Checksum")
    if header is None:
        return Claims()
    name, _, encoded = header.strip().partition(" ")
    if name not in CHECKSUMS:
        raise InvalidParams(f"The algorithm of Upload-Checksum must be one of {', '.join(CHECKSUMS)}.")
    return Claims([(name, parse_digest("Upload-Checksum", name, encoded.strip()))], mismatch=ChecksumMismatch)


def parse_metadata(header: str) -> dict[str, bytes]:
    """Parse Upload-Metadata: pairs of a key and a base64 value, which may be absent."""
    found: dict[str, bytes] = {}
    for pair in header.split(",") if header else ():
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            raise InvalidParams("Each key in Upload-Metadata must be visible ASCII, and occur once.")
        try:
            found[key] = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidParams(f"The value of {key} in Upload-Metadata is not base64.") from error
    return found


def metadata_in(header: str) -> str:
    """The value of the key `metadata` in Upload-Metadata: the metadata that the file is to have, as JSON."""
    try:
        return parse_metadata(header.strip()).get(_FILE_METADATA, b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidMetadata(f"The value of {_FILE_METADATA} in Upload-Metadata is not UTF-8.") from error


def join_metadata(metadata: Mapping[str, str]) -> str:
    """Write Upload-Metadata: the opposite of parse_metadata."""
    for key in metadata:
        if not _KEY.fullmatch(key):
            raise InvalidParams("Each key of the metadata must be visible ASCII without commas.")
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}".strip() for key, value in metadata.items())


def progress(offset: int, expires_at: datetime | None) -> dict[str, str]:
    """The headers of every response about an unfinished upload."""
    expires = {"Upload-Expires": format_datetime(expires_at, usegmt=True)} if expires_at else {}
    return {"Upload-Offset": str(offset), **expires}


def description(length: int | None, metadata: str) -> dict[str, str]:
    headers = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    return {**headers, "Upload-Metadata": metadata} if metadata else headers


def capabilities(largest: int | None) -> dict[str, str]:
    found = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Checksum-Algorithm": ",".join(CHECKSUMS)}
    return found if largest is None else found | {"Tus-Max-Size": str(largest)}


def _name_in(metadata: Mapping[str, bytes]) -> str:
    return next((metadata[key].decode(errors="replace") for key in _NAMES if metadata.get(key)), "unnamed")


def _has_body(headers: Headers) -> bool:
    return headers.get("Content-Length", "0").strip() not in {"", "0"} or "Transfer-Encoding" in headers


def _require_content_type(headers: Headers) -> None:
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise UnsupportedRequest(f"Send the bytes as Content-Type: {CONTENT_TYPE}.")


def _number(headers: Headers, name: str) -> int | None:
    header = headers.get(name)
    if header is None:
        return None
    if not _NUMBER.fullmatch(header.strip()):
        raise InvalidParams(f"{name} must be a whole number of bytes.")
    return int(header)
