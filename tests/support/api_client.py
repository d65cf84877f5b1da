"""Clients of the API within the test's own process. They need Django, which the drills never load."""

from typing import Any, cast

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from uploads.access.authentication import Principal
from uploads.scopes import Scope


def api_client(user: User) -> APIClient:
    """A client of the API, as somebody with a session."""
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user, cast(Any, Principal(user, Scope.all())))
    return client
