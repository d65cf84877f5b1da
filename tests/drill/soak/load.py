"""Clients that do what people and programs do, as often as takes a share of the machine."""

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.bench.machine import CORES, busy_cores, cpu_of, cpu_of_ended
from tests.drill.soak.content import Content, unseen
from tests.drill.soak.ledger import CUT, Ledger
from tests.support.admin_client import Browser
from tests.support.server import Answer, Server, form_end, form_part
from tests.support.tus_client import OCTETS, UPLOADS, VERSION, metadata

SHARE = 0.6  # of the machine, for the installation and its clients; others may use it, too
CLIENTS = 8
MOST_FILES = 120  # then the oldest are deleted
TOO_MANY_FILES = MOST_FILES + 30  # jobs still use them, and cannot keep up: until they do, no more are sent
MOST_WAITING = 30  # jobs: clients that submit more would only make a queue
_JSON = {"Content-Type": "application/json"}
_LISTS = ("files/", "files/?kind=video&q=film", "uploads/", "uploads/?state=failed", "jobs/", "operations/", "me/")
_ADMIN = ("", "uploads/mediafile/", "uploads/upload/", "media_jobs/job/", "media_jobs/worker/", "media_jobs/lane/")
_JOBS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("thumbnail", {"width": 160}), ("audio", {"format": "mp3"}), ("transcode", {"height": 90}),
    ("transcode", {"codec": "vp9", "height": 90}), ("inspect", {}),
)  # fmt: skip


@dataclass
class Load:
    server: Server
    browser: Browser
    film: bytes
    ledger: Ledger
    pause: float = 0.5
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _before: tuple[float, float, float] | None = None
    shares: list[float] = field(default_factory=list)  # of the machine, that we had
    business: list[float] = field(default_factory=list)  # of the machine, with all others

    def begin(self) -> None:
        for _ in range(CLIENTS):
            thread = threading.Thread(target=self._go_on, daemon=True)
            thread.start()
            self._threads.append(thread)

    def end(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(120)

    def _go_on(self) -> None:
        acts: dict[Callable[[], None], int] = {
            self.put: 3, self.form: 2, self.tus: 3, self.download: 6, self.look_at_list: 5, self.look_at_page: 3,
            self.submit: 3, self.delete: 3,
        }  # fmt: skip
        while not self.over.is_set():
            [act] = random.choices(list(acts), list(acts.values()))
            if act in (self.put, self.form, self.tus) and len(self.ledger.files) >= TOO_MANY_FILES:
                act = self.delete
            try:
                act()
            except Exception as error:  # reported at the end; the soak goes on
                self.ledger.complain(f"{act.__name__}: {error!r}")
            self.over.wait(random.expovariate(1 / self.pause))

    def adjust(self, pids: Iterable[int]) -> None:
        """Call it every few seconds: the clients' pauses follow what these processes, and we, have used since."""
        busy = sum(busy for busy, _ in busy_cores().values())
        now, before = (time.monotonic(), _used(pids) + sum(os.times()[:4]), busy), self._before
        self._before = now
        if before is not None:
            passed = (now[0] - before[0]) * len(CORES)
            share = max(0.0, now[1] - before[1]) / passed  # what a killed process used is gone
            self.shares.append(share)
            self.business.append((now[2] - before[2]) / passed)
            self.pause = min(5.0, max(0.02, self.pause * (1.15 if share > SHARE else 0.87)))

    # Asking

    def ask(
        self, method: str, path: str, body: Any = None, headers: Any = None, user: str = "alice"
    ) -> Answer | None:
        """None if the connection was cut."""
        since, kind = time.monotonic(), f"{method} {path.partition('?')[0]}"
        for file in path.split("/"):
            if len(file) == 36:
                kind = kind.replace(file, "ID")
        try:
            answer = self.server.request(method, path, body, headers, user=user)
        except (OSError, http.client.HTTPException) as error:
            self.ledger.note(kind, CUT, since, error)
            return None
        self.ledger.note(kind, answer.status, since, answer.body)
        return answer

    def _keep(self, answer: Answer | None, content: Content) -> None:
        if answer is None or answer.status >= 400:
            return
        file = answer.json()
        if file["sha256"] != content.sha256:
            self.ledger.complain(f"{file['id']} has the SHA-256 of something else")
        with self._lock:
            self.ledger.files[file["id"]] = content

    def _new(self) -> tuple[Content, bytes]:
        return unseen(self.film, int(random.lognormvariate(12.5, 1.4)) % 12_000_000)

    # What they do

    def put(self) -> None:
        content, data = self._new()
        self._keep(self.ask("PUT", "/api/v1/upload/film.mp4", data), content)

    def form(self) -> None:
        content, data = self._new()
        headers = {"Content-Type": "multipart/form-data; boundary=b0undary"}
        self._keep(
            self.ask("POST", "/api/v1/files/", form_part("file", data, "form.mp4") + form_end(), headers), content
        )

    def tus(self) -> None:
        """In some pieces, with pauses; each goes on where the server says that it is, whatever came between."""
        content, data = self._new()
        spoken = {"Tus-Resumable": VERSION}
        made = self.ask(
            "POST", UPLOADS, headers={**spoken, "Upload-Length": str(len(data)), **metadata(filename="tus.mp4")}
        )
        if made is None or made.status != 201:
            return
        path, deadline = str(made.headers["Location"]), time.monotonic() + 120
        while time.monotonic() < deadline:
            head = self.ask("HEAD", path, headers=spoken)
            if head is not None and head.status == 200:
                offset = int(head.headers["Upload-Offset"])
                if offset == len(data) and self._has_become_a_file(path, content):
                    return
                piece = data[offset : offset + random.randint(200_000, 3_000_000)]
                sent = {**spoken, "Upload-Offset": str(offset), "Content-Type": OCTETS}
                if piece:
                    self.ask("PATCH", path, piece, sent)
            time.sleep(random.uniform(0, 1))
        self.ledger.complain(f"{path} did not come to its end")

    def _has_become_a_file(self, path: str, content: Content) -> bool:
        upload = self.ask("GET", path, headers={"Accept": "application/json"})
        if upload is None or upload.status != 200 or not (file := upload.json()["file"]):
            return False
        self._keep(self.ask("GET", f"/api/v1/files/{file}/"), content)
        return True

    def download(self) -> None:
        if not (chosen := self._any()):
            return
        file, content = chosen
        data = content.bytes()
        for _ in range(3):
            first = random.randrange(len(data))
            last = min(len(data) - 1, first + random.randrange(2_000_000))
            answer = self.ask("GET", f"/api/v1/files/{file}/content", headers={"Range": f"bytes={first}-{last}"})
            if answer is None or answer.status in {404, 500, 503}:
                return
            if (answer.status, answer.body) != (206, data[first : last + 1]):
                self.ledger.complain(f"{file} {first}-{last}: {answer.status} and {len(answer.body)} other bytes")

    def look_at_list(self) -> None:
        self.ask("GET", f"/api/v1/{random.choice(_LISTS)}")

    def look_at_page(self) -> None:
        path = f"/admin/{random.choice(_ADMIN)}"
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())}
        since = time.monotonic()
        try:
            answer = self.server.request("GET", path, headers=cookies, user=None)
        except (OSError, http.client.HTTPException) as error:
            self.ledger.note(f"GET {path}", CUT, since, error)
        else:
            self.ledger.note(f"GET {path}", answer.status, since, answer.body)
            if answer.status == 302:
                self.ledger.complain(f"{path}: signed out")

    def submit(self) -> None:
        listed = self.ask("GET", "/api/v1/jobs/?status=queued&page_size=100")
        if listed is None or listed.status != 200 or len(listed.json()["results"]) > MOST_WAITING:
            return
        if not (chosen := self._any()):
            return
        operation, params = random.choice(_JOBS)
        order = json.dumps({"operation": operation, "params": params, "file": chosen[0]}).encode()
        self.ask("POST", "/api/v1/jobs/", order, _JSON)

    def delete(self) -> None:
        """The oldest; of one whose answer is cut off nobody knows whether it is still there."""
        with self._lock:
            if len(self.ledger.files) < MOST_FILES:
                return
            file = next(iter(self.ledger.files))
            content = self.ledger.files.pop(file)
        answer = self.ask("DELETE", f"/api/v1/files/{file}/")
        if answer is not None and answer.status == 409:  # a job uses it
            with self._lock:
                self.ledger.files[file] = content

    def _any(self) -> tuple[str, Content] | None:
        with self._lock:
            return random.choice(list(self.ledger.files.items())) if self.ledger.files else None


def _used(pids: Iterable[int]) -> float:
    """Seconds of processor time, also of what these have started and seen the end of."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):  # it has ended since
            total += cpu_of([pid]).total + cpu_of_ended(pid)
    return total
