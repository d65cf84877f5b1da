"""A request that is refused keeps nothing: no file, no bytes, no reservation, no Idempotency-Key."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.processes import children
from tests.support.raw_requests import FILES, Request, form, form_of, put, send
from tests.support.server import Answer, Server
from tests.support.waiting import wait_until


def files(server: Server, user: str = "alice") -> list[Any]:
    found: list[Any] = server.get(f"{FILES}?page_size=500", user=user).json()["results"]
    return found


def uploads(server: Server, state: str, user: str = "alice", most: int = 500) -> list[Any]:
    """The newest ones first."""
    found: list[Any] = server.get(f"/api/v1/uploads/?state={state}&page_size={most}", user=user).json()["results"]
    return found


def nameless_bytes(server: Server) -> list[str]:
    """Content without a name that the server holds open: an upload on its way, or one it forgot to let go."""
    found = []
    for process in [server.pid, *children(server.pid)]:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith(str(server.media)):
                    found.append(target)
    return found


@contextlib.contextmanager
def nothing_kept(server: Server, user: str = "alice") -> Iterator[None]:
    """Whatever happens inside leaves no file, no bytes, and no upload that would hold a reservation."""
    before: tuple[list[Any], ...] = (files(server, user), sorted(server.stored_bytes()), [], [])
    yield
    wait_until(
        lambda: before == (
            files(server, user), sorted(server.stored_bytes()), uploads(server, "receiving", user),
            nameless_bytes(server),
        )
    )  # fmt: skip


def assert_refused(server: Server, request: Request, status: int, code: str) -> Answer:
    """The request is answered so, keeps nothing, and leaves its Idempotency-Key to another."""
    key = uuid.uuid4().hex
    with nothing_kept(server):
        answer = send(server, request, key=key)
        assert (answer.status, answer.code) == (status, code), answer
    assert not [upload for upload in uploads(server, "complete", most=10) if upload["key"] == key]
    film = b"\x1aE\xdf\xa3" + b"\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm" + os.urandom(100)
    good = put("good.webm", film) if request.method == "PUT" else form(form_of(film, "good.webm"))
    again = send(server, good, key=key)
    assert again.status == 201, again
    assert "Idempotency-Replayed" not in again.headers
    # Or each of hundreds of tests would compare the files of all before it.
    assert server.request("DELETE", f"{FILES}{again.json()['id']}/").status == 204
    return answer
