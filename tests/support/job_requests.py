"""Jobs through the API: submit one, and wait for its end."""

import json
from typing import Any

from tests.support.server import Server
from tests.support.waiting import wait_until

FINISHED = ("succeeded", "failed", "cancelled")


def submit(server: Server, file: str, operation: str = "transcode", user: str = "alice", **params: Any) -> str:
    order = json.dumps({"operation": operation, "params": params, "file": file}).encode()
    answer = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}, user=user)
    assert answer.status == 202, answer
    return str(answer.json()["id"])


def ended(server: Server, job: str, user: str = "alice") -> dict[str, Any]:
    def now() -> dict[str, Any]:
        found: dict[str, Any] = server.get(f"/api/v1/jobs/{job}/?wait=30", user=user).json()
        return found if found["status"] in FINISHED else {}

    return wait_until(now, 150, lambda: server.log[-3000:])
