"""Limit the open connections of one address, so that a single client cannot use up all connections.

A connection over the limit is closed as soon as it is accepted. It costs no thread, and nothing of it is parsed.
"""

import socket
import struct
import time
from collections import Counter
from ipaddress import ip_network

import structlog

from config.addresses import peer
from uploads.access.attempt_limits import network

_SHARE = 4  # by default one address may have a quarter of all connections
_LOG_EVERY = 60.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset, so that the kernel keeps no state

log = structlog.get_logger("millrace.connections")


class ConnectionLimits:
    def __init__(self, connections: int, per_address: int | None, exempt: list[str]) -> None:
        self._most = per_address or max(1, connections // _SHARE)
        self._exempt = [ip_network(network, strict=False) for network in exempt]
        self._open: Counter[str] = Counter()
        self._logged: dict[str, float] = {}

    def admit(self, client: socket.socket, address: object) -> str | None:
        """Count a new connection. Returns the origin to pass to release(), or None if it was closed.

        The origin is empty for connections that are not counted.
        """
        host = address[0] if isinstance(address, tuple) else ""
        if not host or self._is_exempt(host):
            return ""
        origin = network(host)
        if self._open[origin] >= self._most:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            client.close()
            self._log(origin)
            return None
        self._open[origin] += 1
        return origin

    def release(self, origin: str) -> None:
        if self._open[origin] > 1:
            self._open[origin] -= 1
        else:
            del self._open[origin]

    def _is_exempt(self, host: str) -> bool:
        return bool(self._exempt) and any(peer(host) in network for network in self._exempt)

    def _log(self, origin: str) -> None:
        now = time.monotonic()
        if now < self._logged.get(origin, now):
            return
        self._logged = {known: until for known, until in self._logged.items() if now < until}
        self._logged[origin] = now + _LOG_EVERY
        log.warning("connections_refused", address=origin, limit=self._most)
