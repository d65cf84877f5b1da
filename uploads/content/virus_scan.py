"""Scan content for viruses with clamd while it arrives: each piece is sent on, and clamd's verdict comes at the end.

clamd's command INSTREAM is a length before each piece, and one line as the answer, so it is written by hand. The
clients on PyPI read a whole file object themselves; here the bytes come piece by piece.

Whatever goes wrong refuses the content: what clamd has not called clean does not become a file.
"""

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn, Self

import structlog

from ..errors import Infected, Refusal, ScanUnavailable, TooLargeToScan

log = structlog.get_logger(__name__)
_LONGEST_ANSWER = 4096
_OVER_STREAM_LIMIT = "INSTREAM size limit exceeded."
# With AlertExceedsMax, clamd reports what it did not scan completely as a finding with this name and its limit.
_NOT_SCANNED = "Heuristics.Limits.Exceeded."
_CONNECT_TIMEOUT = 5.0
_PING_TIMEOUT = 2.0
_RETRY_AFTER = 60
_END = bytes(4)  # a length of 0


class OnInfection(StrEnum):
    REJECT = "reject"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Clamd:
    """Where clamd is, and what to do with infected content."""

    address: str | tuple[str, int]  # the path of a Unix socket, or host and port
    action: OnInfection = OnInfection.REJECT
    timeout: float = 150.0  # seconds for it to take a piece, and to give its verdict

    def connect(self, timeout: float) -> socket.socket:
        if isinstance(self.address, tuple):
            connection = socket.create_connection(self.address, min(timeout, _CONNECT_TIMEOUT))
            # Otherwise the end of the stream may wait for the acknowledgement of the piece before it.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(min(timeout, _CONNECT_TIMEOUT))
            try:
                connection.connect(self.address)
            except OSError:
                connection.close()
                raise
        connection.settimeout(timeout)
        return connection

    def problem(self) -> str:
        """Why clamd cannot be used, or "" if it answers."""
        try:
            with self.connect(_PING_TIMEOUT) as connection:
                connection.sendall(b"zPING\0")
                answer = connection.recv(_LONGEST_ANSWER)
        except OSError as error:
            return str(error)
        return "" if answer == b"PONG\0" else "It is not clamd that answers there."


class VirusScan:
    """One scan: feed ... finish, or close. Connects with the first bytes, as clamd does not wait long for them."""

    def __init__(self, clamd: Clamd) -> None:
        self._clamd = clamd
        self._connection: socket.socket | None = None
        self._answers = select.poll()

    def feed(self, data: bytes | memoryview) -> None:
        """Send the next bytes. Raises a Refusal as soon as clamd gives up."""
        if data:  # a piece without bytes would end the stream
            with self._failures():
                self._send(data)

    def finish(self) -> None:
        """Wait for the verdict. Raises Infected, TooLargeToScan or ScanUnavailable."""
        if self._connection is None:
            return  # nothing to scan
        with self._failures():
            self._connection.sendall(_END)
            answer = self._read_answer()
        if answer != "stream: OK":
            self._refuse(answer)
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, data: bytes | memoryview) -> None:
        if self._connection is None:
            self._connection = self._clamd.connect(self._clamd.timeout)
            self._answers.register(self._connection, select.POLLIN)
            self._connection.sendall(b"zINSTREAM\0")
        if self._answers.poll(0):  # before the end of the content: it gives up
            self._refuse(self._read_answer())
        head = struct.pack("!L", len(data))
        sent = self._connection.sendmsg([head, data])
        if sent < len(head):
            self._connection.sendall(head[sent:])
            sent = len(head)
        self._connection.sendall(memoryview(data)[sent - len(head) :])

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn errors of the connection into refusals."""
        try:
            yield
        except TimeoutError:
            self._refuse(f"No response for {self._clamd.timeout:.0f} s.")
        except OSError as error:
            self._refuse(self._last_words() or str(error))

    def _last_words(self) -> str:
        """Why it has closed the connection, if it said so. What it sent can still be read."""
        try:
            return self._read_answer()
        except OSError:
            return ""

    def _read_answer(self) -> str:
        """The line that clamd sends at the end, without its end mark; "" if there is none."""
        answer = b""
        while self._connection is not None and len(answer) < _LONGEST_ANSWER and not answer.endswith((b"\0", b"\n")):
            if not (piece := self._connection.recv(_LONGEST_ANSWER)):
                break
            answer += piece
        return answer.decode(errors="replace").rstrip("\0\n")

    def _refuse(self, answer: str) -> NoReturn:
        self.close()
        raise _refusal(self._clamd, answer)


def _refusal(clamd: Clamd, answer: str) -> Refusal:
    name, _, verdict = answer.removeprefix("stream: ").rpartition(" ")
    if verdict == "FOUND" and name.startswith(_NOT_SCANNED):
        return _too_large(name.removeprefix(_NOT_SCANNED))
    if verdict == "FOUND":
        kept = "is kept in quarantine" if clamd.action is OnInfection.QUARANTINE else "was not stored"
        return Infected(f"The file is infected: the virus scanner found {name}. It {kept}.", signature=name)
    if name == _OVER_STREAM_LIMIT:
        return _too_large("StreamMaxLength")
    log.error("virus_scan_failed", clamd=clamd.address, reason=answer or "It closed the connection.")
    return ScanUnavailable("The server's virus scanner does not work. Try again later.", retry_after=_RETRY_AFTER)


def _too_large(limit: str) -> TooLargeToScan:
    return TooLargeToScan(
        f"The file exceeds a limit of the server's virus scanner. An administrator can raise {limit} in clamd.conf."
    )
