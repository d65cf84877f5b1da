"""Jobs as the API takes them and shows them: ordered with any words, looked at, listed."""

import itertools
import json
from typing import Any
from urllib.parse import urlencode

from tests.support.server import Answer, Server, form_end, form_part

JOBS = "/api/v1/jobs/"
JSON = {"Content-Type": "application/json"}


def keep(server: Server, content: bytes, name: str = "film.mp4", user: str = "alice") -> str:
    answer = server.put(name, content, user=user)
    assert answer.status == 201, answer
    return str(answer.json()["id"])


def post(server: Server, path: str, data: object = None, user: str | None = "alice", **headers: str) -> Answer:
    body = b"" if data is None else json.dumps(data).encode()
    sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("POST", path, body, sent, user=user)


def order(server: Server, user: str | None = "alice", headers: dict[str, str] | None = None, **said: Any) -> Answer:
    return post(server, JOBS, said, user, **(headers or {}))


def submitted(server: Server, user: str = "alice", **said: Any) -> Any:
    answer = order(server, user, **said)
    assert answer.status in {201, 202}, answer
    return answer.json()


def waiting(server: Server, file: str, user: str = "alice", **said: Any) -> Any:
    """A job that nobody runs: of the heavy lane, and unlike any other."""
    return submitted(server, user, operation="transcode", file=file, params={"end": 1 + next(_moments) / 100}, **said)


_moments = itertools.count()


def job(server: Server, job_id: str, user: str = "alice", **asked: Any) -> Any:
    answer = server.get(f"{JOBS}{job_id}/?{urlencode(asked)}", user=user)
    assert answer.status == 200, answer
    return answer.json()


def ended(server: Server, made: Any, user: str = "alice") -> Any:
    found = job(server, made["id"], user, wait=30)
    assert found["status"] in {"succeeded", "failed", "cancelled"}, found
    return found


def listed(server: Server, user: str = "alice", **asked: Any) -> list[str]:
    answer = server.get(f"{JOBS}?{urlencode(asked, doseq=True)}", user=user)
    assert answer.status == 200, answer
    return [found["id"] for found in answer.json()["results"]]


def a_form(fields: dict[str, str], content: bytes, *after: bytes, name: str = "film.mp4") -> bytes:
    before = b"".join(form_part(field, value.encode()) for field, value in fields.items())
    return before + form_part("file", content, name) + b"".join(after) + form_end()
