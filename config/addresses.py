"""Addresses of clients, of this server and of its folder, and how they are written."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

_MAPPED = "::ffff:"


def peer(text: str) -> IPv4Address | IPv6Address:
    """Parse a client's address. A socket for IPv4 and IPv6 writes an IPv4 address as ::ffff:192.0.2.1: unmap it."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def unmapped(text: str) -> str:
    """Like peer(), as text, and without parsing the addresses that need no change."""
    return str(peer(text)) if text.startswith(_MAPPED) else text


def with_port(host: str, port: int) -> str:
    """Host and port as in a URL, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def home_address() -> str:
    """HOME as scp writes it, with its host: several hosts may share a database, each with a HOME of its own."""
    return f"{socket.gethostname()}:{settings.HOME}"[-255:]
