"""A mail server of the tests: takes what it is sent over SMTP, and keeps it."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

_ANSWERS = {b"EHLO": b"250 tests", b"MAIL": b"250 ok", b"RCPT": b"250 ok", b"DATA": b"354 go on", b"QUIT": b"221 bye"}


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        self.wfile.write(b"220 tests\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            self.wfile.write(_ANSWERS.get(verb, b"502 not here") + b"\r\n")
            if verb == b"DATA":
                lines = list(iter(self.rfile.readline, b".\r\n"))
                server.mails.append(message_from_bytes(b"".join(lines)))
                self.wfile.write(b"250 taken\r\n")
            if verb == b"QUIT":
                return


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.mails: list[Message] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


def text_of(mail: Message) -> str:
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


@contextmanager
def mail_server(port: int = 0) -> Iterator[MailServer]:
    with MailServer(port) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()
