"""Clients of the drill with several hosts: uploads of every kind that go on until they are done, jobs, and probes."""

import contextlib
import hashlib
import http.client
import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.server import Answer, Server, form_end, form_part
from tests.support.tus_client import OCTETS, UPLOADS, VERSION, metadata

PATIENCE = 300.0  # seconds that a client tries again
SIZE = 12 * 1024**2  # of an upload: more than one part
_PIECE, _PAUSE = SIZE // 20, 0.2  # a client sends a body in pieces: slowly enough to be hit by a fault
_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "multipart/form-data; boundary=b0undary"}


@dataclass
class Sent:
    """What a client was promised, and when."""

    kind: str
    sha256: str
    file: str
    began: float  # by time.time(), as the database's clock
    ended: float
    jobs: list[str] = field(default_factory=list)


def again(attempt: Callable[[int], Any], what: str) -> Any:
    """Repeat an attempt, which gets its number, until it returns something."""
    until, number = time.monotonic() + PATIENCE, 0
    last: Exception | None = None
    while time.monotonic() < until:
        try:
            if found := attempt(number):
                return found
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            last = error
        number += 1
        time.sleep(0.5)
    raise AssertionError(f"in {PATIENCE:.0f} s never done: {what}") from last


@dataclass
class Client:
    web: list[Server]
    film: bytes
    refusals: Counter[str] = field(default_factory=Counter)  # answers that were not as hoped for, by status and code

    def send(self, kind: str, size: int = SIZE) -> Sent:
        """Upload content that nobody has seen, in one of the ways that have a method here."""
        content, began = self._unseen(size), time.time()
        file = getattr(self, f"_{kind}")(content, {"Idempotency-Key": uuid.uuid4().hex})
        return Sent(kind, hashlib.sha256(content).hexdigest(), file, began, time.time())

    def _unseen(self, size: int) -> bytes:
        more = os.urandom(size - len(self.film) - 8)
        return self.film + (8 + len(more)).to_bytes(4, "big") + b"free" + more

    def _ask(
        self, number: int, method: str, path: str, body: bytes, headers: dict[str, str], *good: int
    ) -> Answer | None:
        """One attempt, at one of the servers by turns. None: its answer is another."""
        sent = headers | {"Content-Length": str(len(body))}
        answer = self.web[number % len(self.web)].request(method, path, _slowly(body), sent)
        if answer.status in good:
            return answer
        code = json.loads(answer.body or b"{}").get("code", "")
        self.refusals[f"{answer.status} {code} at {method} {path.split('/')[3]}"] += 1
        return None

    def _put(self, content: bytes, key: dict[str, str]) -> str:
        return self._created("PUT", "/api/v1/upload/film.mp4", content, key)

    def _form(self, content: bytes, key: dict[str, str]) -> str:
        form = form_part("file", content, "film.mp4") + form_end()
        return self._created("POST", "/api/v1/files/", form, _FORM | key)

    def _created(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> str:
        def attempt(number: int) -> str:
            answer = self._ask(number, method, path, body, headers, 200, 201)
            return str(answer.json()["id"]) if answer else ""

        return str(again(attempt, f"{method} {path}"))

    def _tus(self, content: bytes, key: dict[str, str]) -> str:
        """In pieces, each to the other host."""
        headers = {"Tus-Resumable": VERSION, "Upload-Length": str(len(content))} | metadata(filename="film.mp4") | key

        def create(number: int) -> str:
            answer = self._ask(number, "POST", UPLOADS, b"", headers, 201)
            return urlsplit(answer.headers["Location"]).path if answer else ""

        path, piece = str(again(create, "a tus upload")), max(1, len(content) // 6)

        def go_on(number: int) -> str:
            head = self._ask(number, "HEAD", path, b"", {"Tus-Resumable": VERSION}, 200)
            offset = int(head.headers["Upload-Offset"]) if head else len(content)
            if offset < len(content):
                sent = {"Tus-Resumable": VERSION, "Upload-Offset": str(offset), "Content-Type": OCTETS}
                self._ask(number, "PATCH", path, content[offset : offset + piece], sent, 204)
            return self._file_of(number, path)

        return str(again(go_on, "a tus upload"))

    def _direct(self, content: bytes, key: dict[str, str]) -> str:
        order = json.dumps({"name": "film.mp4", "size": len(content)}).encode()

        def create(number: int) -> Any:
            answer = self._ask(number, "POST", f"{UPLOADS}direct/", order, _JSON | key, 200, 201)
            return answer.json() if answer else None

        made = again(create, "a direct upload")
        path, size = urlsplit(made["urls"]["self"]).path, made["part_size"]
        for number in range(1, made["parts"] + 1):
            self._send_part(path, number, content[(number - 1) * size : number * size])
        again(lambda number: self._ask(number, "POST", f"{path}complete/", b"", _JSON, 200, 202), "the end of it")
        return str(again(lambda number: self._file_of(number, path), "its check"))

    def _send_part(self, path: str, number: int, part: bytes) -> None:
        def attempt(tried: int) -> bool:
            asked = json.dumps({"numbers": [number]}).encode()
            answer = self._ask(tried, "POST", f"{path}parts/", asked, _JSON, 200)
            if answer is None:
                return False
            url = urlsplit(answer.json()["parts"][0]["url"])
            connection = http.client.HTTPConnection(url.netloc, timeout=60)
            try:
                connection.request("PUT", f"{url.path}?{url.query}", part)
                return connection.getresponse().status == 200
            finally:
                connection.close()

        again(attempt, f"part {number}")

    def _file_of(self, number: int, path: str) -> str:
        """The file that an upload became; "" until it is complete."""
        answer = self._ask(number, "GET", path, b"", {"Accept": "application/json"}, 200)
        found = answer.json() if answer else {}
        assert found.get("state") != "failed", found
        return str(found.get("file") or "")

    def submit(self, file: str, operation: str, params: dict[str, Any]) -> str:
        order = json.dumps({"operation": operation, "params": params, "file": file}).encode()
        headers = _JSON | {"Idempotency-Key": uuid.uuid4().hex}

        def attempt(number: int) -> str:
            answer = self._ask(number, "POST", "/api/v1/jobs/", order, headers, 200, 202)
            return str(answer.json()["id"]) if answer else ""

        return str(again(attempt, "a job"))

    def job(self, job: str) -> dict[str, Any]:
        def attempt(number: int) -> Any:
            answer = self._ask(number, "GET", f"/api/v1/jobs/{job}/", b"", {}, 200)
            return answer.json() if answer else None

        found: dict[str, Any] = again(attempt, f"job {job}")
        return found


def _slowly(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        if start:
            time.sleep(_PAUSE)
        yield body[start : start + _PIECE]


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
