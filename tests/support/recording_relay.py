"""A relay that remembers what clients have sent: whether they reach a server at all, and what they tell it."""

import socket

from tests.support.network_relay import Relay


class RecordingRelay(Relay):
    def __init__(self, server_port: int) -> None:
        self.heard = bytearray()
        super().__init__(server_port)

    def _carry(self, client: socket.socket, server: socket.socket, buffer: memoryview) -> int:
        count = super()._carry(client, server, buffer)
        self.heard += buffer[:count]
        return count

    def heard_since(self, mark: int) -> str:
        """What clients have sent after the first `mark` bytes, in small letters, as names of headers have no case."""
        return self.heard[mark:].decode(errors="replace").lower()
