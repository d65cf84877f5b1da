"""A client of direct uploads: it asks the server for addresses, and sends the parts to the store by itself."""

import http.client
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.server import Answer, Server

DIRECT = "/api/v1/uploads/direct/"
_AT_ONCE = 4


@dataclass
class DirectClient:
    server: Server
    user: str = "alice"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        return self.server.request(method, path, data, sent, user=self.user)

    def create(self, size: int, name: str = "film.mp4", query: str = "", **headers: str) -> Answer:
        return self.ask("POST", DIRECT + query, {"name": name, "size": size}, **headers)

    def begin(self, content: bytes, name: str = "film.mp4", query: str = "") -> "Sending":
        answer = self.create(len(content), name, query)
        assert answer.status == 201, answer
        return Sending(self, content, answer.json())

    def send(self, content: bytes, name: str = "film.mp4", query: str = "") -> "Sending":
        """All parts, and that they are all. A worker is still to check them."""
        sending = self.begin(content, name, query)
        sending.send_parts(sending.numbers)
        answer = sending.complete()
        assert answer.status == 202, answer
        return sending


@dataclass
class Sending:
    """One upload of a client."""

    client: DirectClient
    content: bytes
    made: dict[str, Any]
    etags: dict[int, str] = field(default_factory=dict)  # as the store answered

    @property
    def pk(self) -> str:
        return str(self.made["id"])

    @property
    def numbers(self) -> range:
        return range(1, self.made["parts"] + 1)

    @property
    def path(self) -> str:
        return f"{DIRECT}{self.pk}/"

    def part(self, number: int) -> bytes:
        size = self.made["part_size"]
        return self.content[(number - 1) * size : number * size]

    def sign(self, *numbers: int) -> Answer:
        return self.client.ask("POST", f"{self.path}parts/", {"numbers": numbers})

    def address(self, number: int) -> str:
        answer = self.sign(number)
        assert answer.status == 200, answer
        return str(answer.json()["parts"][0]["url"])

    def send_parts(self, numbers: Iterable[int]) -> None:
        """Several at once."""
        answer = self.sign(*numbers)
        assert answer.status == 200, answer
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda part: self.send_part(part["number"], part["url"]), answer.json()["parts"]))

    def send_part(self, number: int, url: str) -> None:
        status, etag = put(url, self.part(number))
        assert status == 200, status
        self.etags[number] = etag

    def arrived(self) -> list[int]:
        return [part["number"] for part in self.client.ask("GET", f"{self.path}parts/").json()["parts"]]

    def complete(self, etags: Mapping[int, str] | None = None) -> Answer:
        named = [{"number": number, "etag": etag} for number, etag in (etags or {}).items()]
        return self.client.ask("POST", f"{self.path}complete/", {"parts": named})

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.ask("GET", self.path).json()
        return found

    def end(self) -> Answer:
        return self.client.ask("DELETE", self.path)


def put(url: str, body: bytes) -> tuple[int, str]:
    """Send a body to an address of the store. Returns the status and the ETag."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    try:
        connection.request("PUT", f"{address.path}?{address.query}", body)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("ETag", "")
    finally:
        connection.close()


def preflight(url: str, origin: str) -> int:
    """What a browser asks before it sends a part."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    connection.request("OPTIONS", f"{address.path}?{address.query}", headers=headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status
