"""Requests to the API with JSON, and the names in its lists."""

import json
from typing import Any
from urllib.parse import urlencode

from tests.support.server import Answer, Server

JSON = {"Content-Type": "application/json"}


def ask(server: Server, path: str, user: str | None = "alice", **query: Any) -> Answer:
    return server.get(f"/api/v1/{path}?{urlencode(query, doseq=True)}" if query else f"/api/v1/{path}", user=user)


def send(server: Server, method: str, path: str, data: object = None, user: str | None = "alice") -> Answer:
    body = b"" if data is None else json.dumps(data).encode()
    return server.request(method, f"/api/v1/{path}", body, JSON, user=user)


def keep(server: Server, content: bytes, name: str = "film.mp4", user: str = "alice", **headers: str) -> Any:
    answer = server.put(name, content, {key.replace("_", "-"): value for key, value in headers.items()}, user=user)
    assert answer.status == 201, answer
    return answer.json()


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [file["name"] for file in answer.json()["results"]]
