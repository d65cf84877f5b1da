"""Addresses of this server and of its peers, as they are written."""

from ipaddress import IPv4Address, IPv6Address, ip_address

_MAPPED = "::ffff:"


def peer(text: str) -> IPv4Address | IPv6Address:
    """Of a peer, as it has it: a socket for both families writes an IPv4 address as ::ffff:192.0.2.1."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def unmapped(text: str) -> str:
    """The same as text, and cheap for the addresses that most peers have."""
    return str(peer(text)) if text.startswith(_MAPPED) else text


def with_port(host: str, port: int) -> str:
    """As it stands in a URL: the colons of an IPv6 address are not that of the port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
