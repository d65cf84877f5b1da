"""The address of a model server, as an administrator wrote it."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")  # ASCII without spaces


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    scheme: str
    host: str  # a name or an IP address, without brackets
    port: int
    target: str  # path and query

    @classmethod
    def parse(cls, text: str) -> "EndpointUrl":
        """Raises ValueError with a sentence for the administrator."""
        if not _PRINTABLE.fullmatch(text) or "\\" in text:
            raise ValueError("Write the URL in ASCII, without spaces. An international name is written as xn--….")
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("This is not a URL with a valid host and port.") from None
        if parts.scheme not in _PORTS or not host:
            raise ValueError("Write a whole URL that begins with http:// or https://.")
        if parts.username is not None or parts.password is not None:
            raise ValueError("Write no name and password into the URL: use the secret header.")
        if parts.fragment or port == 0:
            raise ValueError("The URL must have no part after #, and no port 0.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], target)

    @property
    def is_encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"
