"""The API's OpenAPI schema, and the page that shows it."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.server import Server


@pytest.fixture(scope="module")
def schema(shared_server: Server) -> Any:
    answer = shared_server.get("/api/v1/schema/", {"Accept": "application/json"}, user="alice")
    assert answer.status == 200, answer
    return answer.json()


def test_the_schema_has_no_warnings(shared_server: Server) -> None:
    said = shared_server.manage("spectacular", "--validate", "--fail-on-warn")
    assert "warning" not in said.stderr.lower()


def test_the_schema_is_openapi_3_1(schema: Any) -> None:
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["title"] == "Millrace"


def test_every_reference_in_the_schema_leads_somewhere(schema: Any) -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema)):
        place = schema
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def operations(schema: Any) -> dict[str, Any]:
    return {f"{method.upper()} {path}": operation for path, methods in schema["paths"].items()
            for method, operation in methods.items()}  # fmt: skip


def test_every_operation_has_a_name_of_its_own_answers_and_problems(schema: Any) -> None:
    found = operations(schema)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for operation in found.values():
        assert "default" in operation["responses"]
        assert any(status.startswith("2") for status in operation["responses"])


def test_every_operation_declares_what_stands_in_its_path(schema: Any) -> None:
    for name, operation in operations(schema).items():
        declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", name))


def test_the_schema_knows_every_entrance(schema: Any) -> None:
    assert set(operations(schema)) >= {
        "GET /api/v1/files/", "POST /api/v1/files/", "GET /api/v1/files/{id}/", "PATCH /api/v1/files/{id}/",
        "DELETE /api/v1/files/{id}/", "POST /api/v1/files/{id}/link/", "DELETE /api/v1/files/{id}/link/",
        "GET /api/v1/files/{id}/content", "PUT /api/v1/upload/{name}", "GET /api/v1/uploads/",
        "GET /api/v1/uploads/{id}",
    }  # fmt: skip


def test_the_page_of_documentation_has_no_inline_script(shared_server: Server) -> None:
    answer = shared_server.get("/api/v1/docs/", {"Accept": "text/html"}, user="alice")
    assert answer.status == 200
    page = answer.body.decode()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert scripts
    for attributes, inside in scripts:
        assert "src=" in attributes
        assert not inside.strip()
    assert not re.search(r'\son\w+="', page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert not urlsplit(address).netloc, address


def test_what_the_page_of_documentation_loads_is_there(shared_server: Server) -> None:
    page = shared_server.get("/api/v1/docs/", {"Accept": "text/html"}, user="alice").body.decode()
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        path = address.replace("&amp;", "&")
        assert shared_server.get(path if path.startswith("/") else f"/api/v1/docs/{path}", user="alice").status == 200
