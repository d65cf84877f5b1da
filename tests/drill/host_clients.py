"""Clients of the drill with several hosts: uploads of every kind that go on until they are done, jobs, and probes."""

import contextlib
import hashlib
import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.server import Answer, Server, form_end, form_part
from tests.support.tus_client import OCTETS, VERSION, metadata

PATIENCE = 300.0  # seconds that a client tries again
_JSON = {"Content-Type": "application/json"}


@dataclass
class Sent:
    """What a client was promised."""

    kind: str
    sha256: str
    file: str
    jobs: list[str] = field(default_factory=list)


def again(attempt: Callable[[int], Any], what: str) -> Any:
    """Repeat an attempt, which gets its number, until it returns something."""
    until, number = time.monotonic() + PATIENCE, 0
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            if found := attempt(number):
                return found
        number += 1
        time.sleep(0.5)
    raise AssertionError(f"in {PATIENCE:.0f} s never done: {what}")


@dataclass
class Client:
    web: list[Server]
    film: bytes

    def unseen(self) -> bytes:
        more = uuid.uuid4().bytes
        return self.film + (8 + len(more)).to_bytes(4, "big") + b"free" + more

    def send(self, kind: str) -> Sent:
        content = self.unseen()
        file = getattr(self, f"_{kind}")(content, {"Idempotency-Key": uuid.uuid4().hex})
        return Sent(kind, hashlib.sha256(content).hexdigest(), file)

    def _at(self, number: int) -> Server:
        return self.web[number % len(self.web)]

    def _put(self, content: bytes, key: dict[str, str]) -> str:
        return self._file_of(lambda server: server.put("film.mp4", content, key))

    def _form(self, content: bytes, key: dict[str, str]) -> str:
        form = form_part("file", content, "film.mp4") + form_end()
        return self._file_of(lambda server: server.post_form(form, headers=key))

    def _file_of(self, send: Callable[[Server], Answer]) -> str:
        def attempt(number: int) -> str:
            answer = send(self._at(number))
            return str(answer.json()["id"]) if answer.status in {200, 201} else ""

        return str(again(attempt, "an upload"))

    def _tus(self, content: bytes, key: dict[str, str]) -> str:
        """In pieces, each to the other host."""
        headers = {"Tus-Resumable": VERSION, "Upload-Length": str(len(content))} | metadata(filename="film.mp4") | key

        def create(number: int) -> str:
            answer = self._at(number).request("POST", "/api/v1/uploads/", b"", headers)
            return urlsplit(answer.headers["Location"]).path if answer.status == 201 else ""

        path, piece = str(again(create, "a tus upload")), max(1, len(content) // 6)

        def go_on(number: int) -> str:
            server = self._at(number)
            head = server.request("HEAD", path, headers={"Tus-Resumable": VERSION})
            offset = int(head.headers["Upload-Offset"])
            if offset < len(content):
                sent = {"Tus-Resumable": VERSION, "Upload-Offset": str(offset), "Content-Type": OCTETS}
                server.request("PATCH", path, content[offset : offset + piece], sent)
            return _file_of(server, path)

        return str(again(go_on, "a tus upload"))

    def _direct(self, content: bytes, key: dict[str, str]) -> str:
        order = json.dumps({"name": "film.mp4", "size": len(content)}).encode()

        def create(number: int) -> Any:
            answer = self._at(number).request("POST", "/api/v1/uploads/direct/", order, _JSON | key)
            return answer.json() if answer.status in {200, 201} else None

        made = again(create, "a direct upload")
        path, size = urlsplit(made["urls"]["self"]).path, made["part_size"]
        for number in range(1, made["parts"] + 1):
            self._send_part(path, number, content[(number - 1) * size : number * size])

        def complete(number: int) -> bool:
            return self._at(number).request("POST", f"{path}complete/", b"", _JSON).status in {200, 202}

        again(complete, "the end of a direct upload")
        return str(again(lambda number: _file_of(self._at(number), path), "its check"))

    def _send_part(self, path: str, number: int, part: bytes) -> None:
        def attempt(tried: int) -> bool:
            asked = json.dumps({"numbers": [number]}).encode()
            answer = self._at(tried).request("POST", f"{path}parts/", asked, _JSON)
            url = urlsplit(answer.json()["parts"][0]["url"])
            connection = http.client.HTTPConnection(url.netloc, timeout=60)
            try:
                connection.request("PUT", f"{url.path}?{url.query}", part)
                return connection.getresponse().status == 200
            finally:
                connection.close()

        again(attempt, f"part {number}")

    def submit(self, file: str, operation: str, params: dict[str, Any]) -> str:
        order = json.dumps({"operation": operation, "params": params, "file": file}).encode()
        headers = _JSON | {"Idempotency-Key": uuid.uuid4().hex}

        def attempt(number: int) -> str:
            answer = self._at(number).request("POST", "/api/v1/jobs/", order, headers)
            return str(answer.json()["id"]) if answer.status in {200, 202} else ""

        return str(again(attempt, "a job"))

    def ended(self, job: str) -> dict[str, Any]:
        def attempt(number: int) -> Any:
            found = self._at(number).get(f"/api/v1/jobs/{job}/?wait=5", user="alice").json()
            return found["finished_at"] and found

        found: dict[str, Any] = again(attempt, f"the end of job {job}")
        return found


def _file_of(server: Server, path: str) -> str:
    """The file that an upload became; "" until it is complete."""
    return str(server.get(path, {"Accept": "application/json"}, user="alice").json().get("file") or "")


class Probe:
    """Asks each web server for a list five times a second, and notes for how long there was no good answer."""

    def __init__(self, web: list[Server]) -> None:
        self._web, self._stop = web, threading.Event()
        self._silent_since: dict[int, float] = {}
        self._longest: dict[int, float] = {}
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(len(web))]
        for thread in self._threads:
            thread.start()

    def take(self) -> list[float]:
        """The longest silence of each server since the last call, in seconds."""
        now = time.monotonic()
        found = [
            max(self._longest.get(number, 0.0), now - self._silent_since.get(number, now))
            for number in range(len(self._web))
        ]
        self._longest.clear()
        return found

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        while not self._stop.wait(0.2):
            began = time.monotonic()
            if self._is_answered(self._web[number]):
                since = self._silent_since.pop(number, None)
                silence = time.monotonic() - (began if since is None else since)
                self._longest[number] = max(self._longest.get(number, 0.0), silence)
            else:
                self._silent_since.setdefault(number, began)

    @staticmethod
    def _is_answered(server: Server) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.request("GET", "/api/v1/files/", timeout=30).status == 200
        return False
