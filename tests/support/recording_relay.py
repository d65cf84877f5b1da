"""A relay that remembers what clients have sent, and holds back the requests that a test names."""

import threading

from tests.support.network_relay import Relay


class RecordingRelay(Relay):
    def __init__(self, server_port: int) -> None:
        self.heard = bytearray()
        self._held_back = b""  # in the first line of a request; empty: all requests pass
        self._released = threading.Event()
        super().__init__(server_port)

    def heard_since(self, mark: int) -> str:
        """What clients have sent after the first `mark` bytes, in small letters, as names of headers have no case."""
        return self.heard[mark:].decode(errors="replace").lower()

    def hold_back(self, words: str) -> None:
        """Keep requests that begin with these words, as if the server did not answer."""
        self._released.clear()
        self._held_back = words.encode()

    def release(self) -> None:
        self._held_back = b""
        self._released.set()

    def _on_request(self, data: memoryview) -> None:
        self.heard += data
        if self._held_back and bytes(data[:200]).startswith(self._held_back):
            self._released.wait()

    def __exit__(self, *_: object) -> None:
        self.release()
        super().__exit__()
