"""How much of an answer is sent at a time."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gunicorn.http.wsgi import FileWrapper

from config.web_server.response_sending import Outgoing

CONTENT = os.urandom(200_000)


def sent_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The sizes that the kernel was asked to send, of a file; what arrives is checked."""
    asked: list[int] = []
    send = os.sendfile

    def sendfile(out: int, source: int, offset: int, count: int) -> int:
        asked.append(count)
        return send(out, source, offset, count)

    monkeypatch.setattr(os, "sendfile", sendfile)
    (tmp_path / "film").write_bytes(CONTENT)
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "film").open("rb") as file:
        outgoing, arrived = Outgoing(FileWrapper(file), len(CONTENT)), b""
        while len(arrived) < len(CONTENT):
            outgoing.send(ours)
            arrived += theirs.recv(65536)
        outgoing.close()
    assert arrived == CONTENT
    return asked


def test_as_much_as_there_is_is_sent_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert sent_in(monkeypatch, tmp_path)[0] == len(CONTENT)


def test_no_more_is_sent_at_a_time_than_the_setting_says(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, chunk_size=65536)
    assert max(sent_in(monkeypatch, tmp_path)) == 65536
