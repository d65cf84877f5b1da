"""A client in this process that asks for anything, and notes every answer that must not be."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.core.signals import got_request_exception
from django.test import Client

from config.http.error_responses import STATUS
from media_jobs.models import Job
from uploads.models import MediaFile, Upload

_WRITING = {"POST", "PUT", "PATCH"}
_OF_CONTENT = {"unsupported_media"}  # known from the bytes alone: that upload has begun, and failed


@dataclass
class Fuzzer:
    client: Client
    user: User
    known: dict[str, str]  # of what paths name, one that is there
    failures: list[str] = field(default_factory=list)
    asked: int = 0
    renders: bool = True  # pages: most of what they cost, and seldom what fails

    def ask(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> None:
        before, thrown = _rows() if method in _WRITING else [], list[str]()

        def note(request: Any, **more: Any) -> None:
            thrown.append(repr(sys.exc_info()[1])[:200])

        got_request_exception.connect(note)
        kind = headers.pop("content_type", "application/json")
        try:
            answer: Any = self.client.generic(method, path, body, content_type=kind, headers=headers)
        finally:
            got_request_exception.disconnect(note)
        self.asked += 1
        self._judge(answer, f"{method} {path[:200]} {body[:200]!r} {headers}: {answer.status_code} {thrown}", before)

    def _judge(self, answer: Any, said: str, before: list[int]) -> None:
        if answer.status_code >= 500:
            self.failures.append(said)
        elif answer.status_code >= 400 and answer["Content-Type"] == "application/problem+json":
            code = json.loads(answer.content or b'{"code": "locked"}')["code"]  # HEAD has no body
            if code not in STATUS:
                self.failures.append(f"{said}, without a stable code")
            if before and code not in _OF_CONTENT and _rows() != before:
                self.failures.append(f"{said}, and left something behind")
        elif answer.status_code >= 400 and "/api/" in said:
            self.failures.append(f"{said}, without a problem document")


def _rows() -> list[int]:
    return [model.objects.count() for model in (Job, Upload, MediaFile)]
