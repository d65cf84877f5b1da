"""The reference receiver: what one thread of Python can do, with nothing around it. `reference.py PORT`."""

import hashlib
import json
import os
import re
import socket
import sys

from tests.bench.peers.disk import new_path

BUFFER = 256 * 1024
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)


def receive(wire: socket.socket, buffer: bytearray) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = wire.recv(4096)
        if not data:
            return  # someone who only looked whether we are there
        head += data
    head, _, first = head.partition(b"\r\n\r\n")
    announced = _LENGTH.search(head)
    assert announced is not None, head
    left = int(announced[1]) - len(first)
    digest = hashlib.sha256(first)
    view = memoryview(buffer)
    fd = os.open(new_path(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        _write(fd, memoryview(first))
        while left:
            count = wire.recv_into(view, min(left, BUFFER))
            if not count:
                return
            digest.update(view[:count])
            _write(fd, view[:count])
            left -= count
        os.fdatasync(fd)
    finally:
        os.close(fd)
    body = json.dumps({"sha256": digest.hexdigest()}).encode()
    wire.sendall(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def main() -> None:
    buffer = bytearray(BUFFER)
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        while True:
            wire, _ = listener.accept()
            with wire:
                receive(wire, buffer)


if __name__ == "__main__":
    main()
