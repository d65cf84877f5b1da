"""Each method of the API declares which scope a token needs for it."""

import pytest
from rest_framework.views import APIView

from tests.support.api_endpoints import Endpoint, endpoints
from uploads.access.authentication import NONE, HasScope, scope_needed
from uploads.errors import ScopeMissing
from uploads.scopes import NAMES, Scope

# For everybody, with or without credentials.
PUBLIC = {"schema", "docs", "entrances", "link-content", "link-hls", "link-page"}


def test_every_endpoint_of_the_api_declares_its_scope() -> None:
    undeclared = [str(found) for found in endpoints() if found.name not in PUBLIC and not _is_declared(found)]
    assert undeclared == []


def _is_declared(found: Endpoint) -> bool:
    asks = hasattr(found.view, "cls") and HasScope in found.view.cls.permission_classes
    return asks and bool(scope_needed(found.view, found.method))


def test_the_endpoints_are_those_we_have() -> None:
    found = {str(endpoint) for endpoint in endpoints()}
    assert found >= {
        "GET file-list", "POST file-list", "PATCH file-detail", "DELETE file-link", "GET file-content", "PUT upload",
        "HEAD upload-detail", "PATCH upload-detail", "PUT upload-detail", "POST job-list", "POST job-cancel",
    }  # fmt: skip
    assert not found & {"PUT file-detail", "GET upload", "GET job-cancel"}


def test_a_method_without_a_declaration_needs_what_nobody_has() -> None:
    class Forgotten(APIView):
        scopes = {"get": Scope.READ}

        def get(self) -> None: ...

        def post(self) -> None: ...

    view = Forgotten.as_view()
    assert scope_needed(view, "GET") == scope_needed(view, "HEAD") == Scope.READ
    assert scope_needed(view, "POST") == NONE
    assert scope_needed(view, "DELETE") is None  # 405 for everybody
    assert not Scope.all() & NONE


def test_scopes_are_sets_with_names() -> None:
    assert NAMES == ["upload", "read", "work", "admin"]
    assert Scope.of(["read", "upload"]) == Scope.READ | Scope.UPLOAD
    assert (Scope.WORK | Scope.UPLOAD).words == ["upload", "work"]
    assert Scope.of(NAMES) == Scope.all()
    with pytest.raises(ValueError, match="no scope “root”"):
        Scope.of(["read", "root"])


def test_a_refusal_names_the_scopes_of_which_one_is_needed() -> None:
    assert "needs the scope “upload” or “read”." in ScopeMissing(Scope.READ | Scope.UPLOAD).detail
