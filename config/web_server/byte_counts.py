"""How many bytes a request and its answer took, counted by the worker where they pass."""

from typing import Any

from config.web_server.response_sending import Outgoing
from config.web_server.socket_io import WireInput

EXCHANGE = "millrace.exchange"  # in the environ, for the request log


class Exchange:
    def __init__(self, body: WireInput, response: Any) -> None:
        self._body, self._response = body, response
        self.outgoing: Outgoing | None = None  # where the answer is not sent by gunicorn

    @property
    def received(self) -> int:
        """Bytes of the body that were read."""
        return self._body.taken

    @property
    def sent(self) -> int:
        """Bytes of the answer's body that the client took, or its system."""
        if self.outgoing is not None:
            return self.outgoing.sent
        return int(self._response.sent)
