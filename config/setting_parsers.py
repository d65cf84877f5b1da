"""Parsers for the values of settings. Each takes the text and raises a ValueError that says what to write instead."""

import re
from collections.abc import Callable
from grp import getgrgid, getgrnam
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from uploads.text.sizes import parse_size

T = TypeVar("T")

_TIMES = {"": 1.0, "MS": 0.001, "S": 1.0, "MIN": 60.0, "H": 3600.0, "D": 86400.0}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?")
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def size_or_none(unlimited: int) -> Callable[[str], int]:
    """A size, or `none` for `unlimited`, which is also the largest value."""
    return lambda raw: unlimited if raw.lower() == "none" else min(size(raw), unlimited)


def optional(parse: Callable[[str], T], absent: str = "none") -> Callable[[str], T | None]:
    return lambda raw: None if raw.lower() == absent else parse(raw)


size = parse_size


def seconds(raw: str) -> float:
    return _quantity(raw, _TIMES, "a time such as 60s, 10min, 4h or 7d")


def positive_seconds(raw: str) -> float:
    if (found := seconds(raw)) <= 0:
        raise ValueError("write a time above 0")
    return found


def between(parse: Callable[[str], T], least: float, most: float, allowed: str) -> Callable[[str], T]:
    """A number of seconds or bytes from `least` to `most`. The error message asks for `allowed`."""

    def parse_within(raw: str) -> T:
        value = parse(raw)
        if not least <= float(value) <= most:  # type: ignore[arg-type]  # a number
            raise ValueError(f"write {allowed}")
        return value

    return parse_within


def rate(raw: str) -> str:
    if not re.fullmatch(r"[1-9]\d*/(s|sec|second|m|min|minute|h|hour|d|day)", raw):
        raise ValueError("write a rate such as 100/min or 1000/day")
    return raw


def _quantity(raw: str, units: dict[str, Any], expected: str) -> float:
    match = _QUANTITY.fullmatch(raw)
    if match is None or match[2].upper() not in units:
        raise ValueError(f"write {expected}")
    return float(match[1]) * float(units[match[2].upper()])


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        value = int(raw)
        if value < least or (most is not None and value > most):
            raise ValueError(
                f"write a number from {least} to {most}"
                if most is not None
                else f"write a number of at least {least}"
            )
        return value

    return parse


def switch(raw: str) -> bool:
    values = {
        "1": True,
        "true": True,
        "on": True,
        "yes": True,
        "0": False,
        "false": False,
        "off": False,
        "no": False,
    }
    if raw.lower() not in values:
        raise ValueError("write on or off")
    return values[raw.lower()]


def group(raw: str) -> int | None:
    """The id of a group of this machine, given by its name or its id."""
    try:
        return getgrgid(int(raw)).gr_gid if raw.isdecimal() else getgrnam(raw).gr_gid
    except (KeyError, OverflowError):
        raise ValueError(f"there is no group {raw} on this machine") from None


def text_of_file(raw: str) -> str:
    """The content of a file, such as a private key."""
    try:
        return Path(raw).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file cannot be read: {error}") from None


def one_of(*choices: T) -> Callable[[str], T]:
    names = {str(choice): choice for choice in choices}

    def parse(raw: str) -> T:
        if raw.lower() not in names:
            raise ValueError(f"write one of {', '.join(names)}")
        return names[raw.lower()]

    return parse


def words(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",") if word.strip()]


def addresses(raw: str) -> list[str]:
    """E-mail addresses, with commas between them."""
    found = words(raw)
    if wrong := [word for word in found if not _ADDRESS.fullmatch(word)]:
        raise ValueError(
            f"{wrong[0]!r} is not an e-mail address; write ops@example.com, or several with commas between them"
        )
    return found


def time_zone(raw: str) -> str:
    try:
        return ZoneInfo(raw).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("write a time zone that this machine knows, such as Europe/Berlin") from error


def networks(raw: str) -> list[str]:
    return [str(ip_network(word, strict=False)) for word in words(raw)]


def host(raw: str) -> str:
    """The address to listen at. An IPv6 address may have brackets, as in a URL."""
    return raw[1:-1] if raw.startswith("[") and raw.endswith("]") else raw


def socket_address(raw: str) -> str | tuple[str, int]:
    """`HOST:PORT`, or `unix:/PATH`, of which the path is returned."""
    if raw.startswith("unix:/"):
        return raw.removeprefix("unix:")
    name, _, port = raw.rpartition(":")
    if not name or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise ValueError("write HOST:PORT or unix:/PATH")
    return host(name), int(port)


def site(raw: str) -> str:
    """The URL of a site, without the slash at its end."""
    parts = urlsplit(raw)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None or parts.port == 0:
        raise ValueError("write http:// or https:// and a host name")
    return raw.rstrip("/")


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def host_of(url: str) -> str:
    """The host name as in a Host header, without the port."""
    name = urlsplit(url).hostname or ""
    return f"[{name}]" if ":" in name else name


def origins(raw: str) -> list[str]:
    return ["*"] if raw == "*" else [_origin(word) for word in words(raw)]


def _origin(raw: str) -> str:
    """An origin as browsers write it in the header Origin, which is compared with it."""
    written = raw.lower().removesuffix("/")
    parts = urlsplit(written)
    if not _ORIGIN.fullmatch(written) or parts.port == _DEFAULT_PORTS.get(parts.scheme, 0):
        raise ValueError(
            f"{raw!r} is not an origin; write, for example, https://app.example.com or http://localhost:3000"
        )
    return written
