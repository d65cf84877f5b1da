"""Every operation of the API's description, with values that nobody expects in each of its parameters."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from config.http import api_description
from media_jobs import operations
from media_jobs.operations.shared.parameters import schema
from tests.support.fuzzer import Fuzzer
from tests.support.odd_values import (
    CURSORS,
    DOCUMENTS,
    EVERYTHING,
    LEAST,
    MOMENTS,
    NUMBERS,
    TEXTS,
    some,
)

pytestmark = pytest.mark.django_db
HUGE = [json.dumps(10**309), json.dumps(10**4000), json.dumps("9" * 400)]


def described() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in api_description.document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def encoded(value: str | bytes) -> str:
    return quote(value, safe="")


def sharp_for(parameter: dict[str, Any]) -> list[str | bytes]:
    shape = parameter["schema"]
    if parameter["name"] == "cursor":
        return CURSORS
    if shape.get("format") == "date-time":
        return MOMENTS
    return NUMBERS if shape.get("type") in {"number", "integer"} else []


def filled(path: str, known: dict[str, str]) -> str:
    """The path with what is there for each parameter."""
    parent = path.split("/")[3]
    return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1]) or known.get(parent, "x"), path)


def test_nothing_in_a_query_is_answered_by_500(fuzzer: Fuzzer) -> None:
    number = 0
    for method, path, operation in described():
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "query":
                continue
            for value in some(path + parameter["name"], sharp_for(parameter), EVERYTHING):
                fuzzer.ask(method, f"{filled(path, fuzzer.known)}?{parameter['name']}={encoded(value)}")
            number += 1
    assert number >= 20
    assert fuzzer.asked >= LEAST * number


def test_nothing_in_a_path_is_answered_by_500(fuzzer: Fuzzer) -> None:
    for method, path, _ in described():
        for name in re.findall(r"\{(\w+)\}", path):
            for value in some(path + name, TEXTS[:10], EVERYTHING):
                there = path.replace(f"{{{name}}}", encoded(value))
                fuzzer.ask(method, filled(there, fuzzer.known))
    assert fuzzer.asked >= LEAST


def test_nothing_in_a_document_is_answered_by_500(fuzzer: Fuzzer) -> None:
    for method, path, operation in described():
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            continue
        there, shape = filled(path, fuzzer.known), resolved(content["application/json"]["schema"])
        for document in some(path, ["1", "true", "[[]]", "null"], DOCUMENTS):
            fuzzer.ask(method, there, document)
        for name in (name for name, value in shape["properties"].items() if not value.get("readOnly")):
            for document in some(path + name, [], DOCUMENTS):
                fuzzer.ask(method, there, _with(fuzzer, shape, name, document))
    assert fuzzer.asked >= LEAST


def test_nothing_in_an_upload_to_come_is_answered_by_500(fuzzer: Fuzzer) -> None:
    for name in ("name", "size", "metadata"):
        for document in some(name, [], DOCUMENTS):
            rest = {"name": '"a.mp4"', "size": "1000", "metadata": "{}"} | {name: document}
            upload = ",".join(f'"{key}": {value}' for key, value in rest.items())
            fuzzer.ask("POST", "/api/v1/jobs/", f'{{"operation": "inspect", "upload": {{{upload}}}}}')


@pytest.mark.parametrize("operation", list(operations.registry))
def test_no_parameter_of_an_operation_is_answered_by_500(operation: str, fuzzer: Fuzzer) -> None:
    for name in [*schema(operations.get(operation))["properties"], "unknown"]:
        for document in some(operation + name, HUGE, DOCUMENTS):
            params = f'{{"{name}": {document}}}'
            body = f'{{"operation": "{operation}", "file": "{fuzzer.known["files"]}", "params": {params}}}'
            fuzzer.ask("POST", "/api/v1/jobs/", body)


def _with(fuzzer: Fuzzer, shape: dict[str, Any], name: str, document: str) -> str:
    """A body that is right but for one property."""
    right = {"file": fuzzer.known["files"], "operation": "inspect", "name": "a.mp4", "expires_in": 60}
    said = {key: json.dumps(value) for key, value in right.items() if key in shape["properties"]}
    if name == "upload":
        said.pop("file")
    return "{" + ", ".join(f'"{key}": {value}' for key, value in (said | {name: document}).items()) + "}"


def resolved(shape: dict[str, Any]) -> dict[str, Any]:
    name = shape.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = api_description.document()["components"]["schemas"][name] if name else shape
    return found


_HEADERS = [
    "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum", "Upload-Defer-Length", "Upload-Concat",
    "Tus-Resumable", "Idempotency-Key", "Content-Digest", "Repr-Digest", "Range", "If-Range", "If-None-Match",
    "If-Modified-Since", "Content-Range", "Content-Encoding", "Accept", "X-HTTP-Method-Override", "X-Forwarded-For",
    "Referer", "Origin", "Cookie", "Authorization", "X-CSRFToken",
]  # fmt: skip
_WRITTEN = [
    *(text for text in EVERYTHING if isinstance(text, str) and text.isascii() and "\r" not in text),
    "bytes=" + "9" * 400 + "-", "bytes=-" + "9" * 400, "bytes=0-0,2-2", "sha1", "sha1 ", "sha1 =", "crc32 AAAA", "é",
    "sha-256=:A", "sha-256=::", "x=1, sha-256=:AAAA:", "filename", "filename =", "filename YQ==,filename YQ==",
    "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Bearer", "Bearer a b", "Basic Og==",
    "sessionid=" + "a" * 300, "messages=x", "fe80::1%eth0",
]  # fmt: skip


def test_nothing_in_a_header_is_answered_by_500(fuzzer: Fuzzer) -> None:
    file, job, upload = (fuzzer.known[name] for name in ("files", "jobs", "uploads"))
    right = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0"}
    places = [
        ("POST", "/api/v1/uploads/", "", right),
        ("POST", "/api/v1/uploads/", "0123456789", right | {"content_type": "application/offset+octet-stream"}),
        ("PATCH", f"/api/v1/uploads/{upload}", "1", right | {"content_type": "application/offset+octet-stream"}),
        ("HEAD", f"/api/v1/uploads/{upload}", "", right),
        ("PUT", "/api/v1/upload/a.mp4", "0123456789", {"content_type": "video/mp4"}),
        ("GET", f"/api/v1/files/{file}/content", "", {}),
        ("GET", f"/api/v1/jobs/{job}/", "", {}),
        ("POST", "/api/v1/jobs/", f'{{"operation": "inspect", "file": "{file}"}}', {}),
    ]
    for number, (method, path, body, headers) in enumerate(places):
        for name in (name for name in _HEADERS if number == 0 or name in _read_at(path)):
            for value in some(path + name, [], _WRITTEN)[: LEAST if name in _read_at(path) else 1]:
                fuzzer.ask(method, path, body, **headers | {name: value})


def _read_at(path: str) -> set[str]:
    """The headers that mean something there. Of the others it gets each once."""
    if "/uploads/" in path:
        return {name for name in _HEADERS if name.startswith("Upload-")}
    return {"Range", "If-Range", "If-Modified-Since"} if "content" in path else {"Idempotency-Key", "Content-Digest"}
