"""Who sends a request: a program with a bearer token, or a person with a session and its CSRF token."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework import authentication, exceptions
from rest_framework.permissions import BasePermission
from rest_framework.request import Request, is_form_media_type

from .. import audit_log
from ..errors import CsrfFailed, ScopeMissing, Throttled
from ..models import Token
from ..runtime.django_private import set_form_fields, user_already_read
from ..scopes import Scope
from . import policy
from .attempt_limits import Attempts, network

# By the name of the method that carries a request out: `list` of a viewset, `get` of another view. A token needs one
# of the scopes named.
Scopes = Mapping[str, Scope]
NONE = Scope(0)

FAILURES_A_MINUTE = 30
_CACHED = "_millrace_bearer"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request, and what for at most: `request.auth` of every request that is somebody's."""

    user: User
    scopes: Scope
    token: Token | None = None  # None: a person with a session

    @property
    def token_id(self) -> UUID | None:
        return self.token and self.token.public_id

    def actor(self, address: str) -> audit_log.Actor:
        """For the audit log, of what is done through the API."""
        credentials = f"token “{self.token.name}”" if self.token is not None else "a session"
        return audit_log.Actor(self.user.pk, f"Through the API with {credentials} from {address}.")

    def has(self, needed: Scope) -> bool:
        """Whether it has one of these scopes."""
        return bool(self.scopes & needed)

    def require(self, needed: Scope) -> None:
        if not self.has(needed):
            raise ScopeMissing(needed)


class BearerAuthentication(TokenAuthentication):  # type: ignore[misc]
    """Knox's tokens, checked once a request, and not for those who guess."""

    def authenticate(self, request: Request | HttpRequest) -> tuple[User, Principal] | None:
        wire = getattr(request, "_request", request)
        if not hasattr(wire, _CACHED):
            try:
                setattr(wire, _CACHED, self._look_up(wire))
            except (exceptions.AuthenticationFailed, Throttled) as error:
                setattr(wire, _CACHED, error)  # asked again, it is no second attempt
        found: Principal | Exception | None = getattr(wire, _CACHED)
        if isinstance(found, Exception):
            raise found
        return None if found is None else (found.user, found)

    def _look_up(self, request: HttpRequest) -> Principal | None:
        try:
            found: tuple[User, Token] | None = super().authenticate(request)
        except (UnicodeDecodeError, exceptions.AuthenticationFailed) as error:
            # Counted when it turned out wrong: a good token is never refused for a neighbour's bad ones, and costs
            # no question to the cache. To look one up takes a millisecond, unlike a password.
            Attempts("token", network(request.META.get("REMOTE_ADDR", "")), FAILURES_A_MINUTE).take()
            raise exceptions.AuthenticationFailed("The token is not valid, or no longer.") from error
        if found is None:
            return None
        user, token = found
        return Principal(user, Scope.of(token.scopes), token)

    def _cleanup_token(self, auth_token: Token) -> bool:
        """Whether a token has expired. Knox would look through all of its user's, each time; a chore deletes them."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


def is_known(request: HttpRequest) -> bool:
    """Whether the credentials of a request are somebody's, whatever became of it."""
    try:
        bearer = BearerAuthentication().authenticate(request)
        # No user, where the answer came before anybody looked at the session.
        user = getattr(request, "user", None)
        return bearer is not None or (user is not None and bool(user.is_authenticated))
    except (exceptions.AuthenticationFailed, Throttled, DatabaseFailure):
        return False


def known_principal(request: HttpRequest) -> Principal | None:
    """Whose request it was, as far as anybody has asked. Nothing is looked up for this."""
    bearer = getattr(request, _CACHED, None)
    if isinstance(bearer, Principal):
        return bearer
    user = user_already_read(request)
    return Principal(user, Scope.all()) if user is not None and user.is_authenticated else None


class SessionAuthentication(authentication.SessionAuthentication):
    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        found = super().authenticate(request)
        return found and (found[0], Principal(found[0], Scope.all()))

    def enforce_csrf(self, request: Request) -> None:
        # A form is parsed here, by our upload handler, which checks the token itself before it takes a file.
        # Any other body has no fields, and a raw one no parser that could be asked for them.
        check_csrf(request._request, request.POST if is_form_media_type(request.content_type) else QueryDict())


class _CsrfVerdict(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise CsrfFailed(f"{reason} Send the CSRF token in the header X-CSRFToken, or in a field before the file.")


def check_csrf(request: HttpRequest, fields: QueryDict) -> None:
    """Django's own check, on these form fields instead of on a body that may not have been read yet."""
    probe: Any = copy.copy(request)
    set_form_fields(probe, fields)
    probe.csrf_processing_done = False
    check = _CsrfVerdict(lambda _: HttpResponse())
    check.process_request(probe)
    check.process_view(probe, lambda: HttpResponse(), (), {})


def principal_of(request: Request) -> Principal:
    """Of a request that was let in."""
    principal: Any = request.auth
    assert isinstance(principal, Principal)
    return principal


def sender(request: HttpRequest) -> Principal:
    """On whose behalf a request comes that brings a file. Asked before anything of its body is read."""
    bearer = BearerAuthentication().authenticate(request)
    if bearer is None:
        return Principal(policy.require_upload(request.user), Scope.all())
    policy.require_upload(bearer[0])
    bearer[1].require(Scope.UPLOAD)
    return bearer[1]


def uploader(request: HttpRequest, fields: QueryDict) -> Principal:
    """On whose behalf a file may be taken, given the form fields that came before it."""
    principal = sender(request)
    if principal.token is None:
        check_csrf(request, fields)
    return principal


class HasScope(BasePermission):
    """Refuse a token that was not made for this. What a view does not declare is refused, to sessions too.

    What follows in this request is done by whom it let in.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        actions = getattr(view, "action_map", None)
        needed = _needed(type(view), actions, request.method or "")
        if needed == NONE:
            return False
        if needed is not None:
            principal = principal_of(request)
            principal.require(needed)
            audit_log.act_as(principal.actor(request.META.get("REMOTE_ADDR", "")))
        return True


def scope_needed(view: Any, method: str) -> Scope | None:
    """What a resolved view needs for a method. None: there is no such method, or the view is none of the API's."""
    if not hasattr(view, "cls"):
        return None
    return _needed(view.cls, getattr(view, "actions", None), method)


def _needed(view: Any, actions: Mapping[str, str] | None, method: str) -> Scope | None:
    verb = method.lower()
    if verb not in view.http_method_names:
        return None
    if verb == "options":
        return Scope.all()  # it tells what there is, and no more
    carried_out = {verb: verb} if actions is None else actions
    name = carried_out.get(verb)
    if verb == "head" and (name is None or not hasattr(view, name)):
        name = "get" if actions is None else actions.get("get")
    if name is None or not hasattr(view, name):
        return None
    declared: Mapping[str, Scope] = getattr(view, "scopes", {})
    return declared.get(name, NONE)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself, untyped
    target_class = "uploads.access.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "From `tokens/`, the admin, or `manage.py token USER`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "uploads.access.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
