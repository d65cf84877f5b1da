"""The undocumented parts of Django that our code calls.

pyproject.toml pins one version of Django, and tests/unit/test_private_parts.py fails when one of these parts has
changed in another version. Private methods that our classes only override are not here, but in the list of that test.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict


def call_on_close(response: HttpResponseBase, callback: Callable[[], object]) -> None:
    """Call this when the response is closed, before the signal request_finished."""
    closers: list[Callable[[], object]] = response._resource_closers  # type: ignore[attr-defined]
    closers.append(callback)


def set_form_fields(request: Any, fields: QueryDict) -> None:
    """Let request.POST be these fields. Django then does not read the body."""
    request._post, request._files = fields, MultiValueDict()


def make_immutable(fields: QueryDict) -> None:
    """As Django's own parser leaves the fields of a form."""
    fields._mutable = False


def user_already_read(request: HttpRequest) -> User | None:
    """The user of the session if request.user was read before. Does not query the database."""
    found: User | None = getattr(request, "_cached_user", None)
    return found
