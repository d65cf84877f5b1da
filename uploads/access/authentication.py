"""Authenticate a request by bearer token or by session and CSRF token, and check the scopes of the token."""

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
from . import permissions
from .attempt_limits import Attempts, network

# A view's scopes by the name of its method: `list` in a viewset, `get` in another view. A token needs one of them.
Scopes = Mapping[str, Scope]
NONE = Scope(0)

FAILURES_A_MINUTE = 30
_CACHED = "_millrace_bearer"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated account with the scopes of its token or session: `request.auth`."""

    user: User
    scopes: Scope
    token: Token | None = None  # None: a session

    @property
    def token_id(self) -> UUID | None:
        return self.token and self.token.public_id

    def actor(self, address: str) -> audit_log.Actor:
        """The actor in the audit log, for changes through the API."""
        credentials = f"token “{self.token.name}”" if self.token is not None else "a session"
        return audit_log.Actor(self.user.pk, f"Through the API with {credentials} from {address}.")

    def has(self, needed: Scope) -> bool:
        """Whether it has one of these scopes."""
        return bool(self.scopes & needed)

    def require(self, needed: Scope) -> None:
        if not self.has(needed):
            raise ScopeMissing(needed)


class BearerAuthentication(TokenAuthentication):  # type: ignore[misc]
    """Authenticate by Knox token, once per request. Failed attempts are limited per address."""

    def authenticate(self, request: Request | HttpRequest) -> tuple[User, Principal] | None:
        django_request = getattr(request, "_request", request)
        if not hasattr(django_request, _CACHED):
            try:
                setattr(django_request, _CACHED, self._principal_of_token(django_request))
            except (exceptions.AuthenticationFailed, Throttled) as error:
                setattr(django_request, _CACHED, error)  # a second call in this request is not a second attempt
        found: Principal | Exception | None = getattr(django_request, _CACHED)
        if isinstance(found, Exception):
            raise found
        return None if found is None else (found.user, found)

    def _principal_of_token(self, request: HttpRequest) -> Principal | None:
        try:
            found: tuple[User, Token] | None = super().authenticate(request)
        except (UnicodeDecodeError, exceptions.AuthenticationFailed) as error:
            # Only failures are counted: a valid token is never refused because of others at the same address, and
            # needs no cache query. Unlike a password check, a token lookup takes only a millisecond.
            Attempts("token", network(request.META.get("REMOTE_ADDR", "")), FAILURES_A_MINUTE).take()
            raise exceptions.AuthenticationFailed("The token is invalid or has expired.") from error
        if found is None:
            return None
        user, token = found
        return Principal(user, Scope.of(token.scopes), token)

    def _cleanup_token(self, auth_token: Token) -> bool:
        """Whether the token has expired. Knox would check all tokens of the user; a chore deletes them."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


def has_valid_credentials(request: HttpRequest) -> bool:
    """Whether the request has valid credentials, even if it was refused for another reason."""
    try:
        bearer = BearerAuthentication().authenticate(request)
        # There is no user if the request was answered before the session was read.
        user = getattr(request, "user", None)
        return bearer is not None or (user is not None and bool(user.is_authenticated))
    except (exceptions.AuthenticationFailed, Throttled, DatabaseFailure):
        return False


def cached_principal(request: HttpRequest) -> Principal | None:
    """The principal, if it is already known. Makes no query."""
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
        # request.POST parses a form with our upload handler, which checks the CSRF token before it accepts a file.
        # Other bodies have no form fields, and raw uploads have no parser.
        check_csrf(request._request, request.POST if is_form_media_type(request.content_type) else QueryDict())


class _CsrfVerdict(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise CsrfFailed(f"{reason} Send the CSRF token in the header X-CSRFToken, or in a field before the file.")


def check_csrf(request: HttpRequest, fields: QueryDict) -> None:
    """Run Django's CSRF check on these form fields, because the body may not have been read completely."""
    probe: Any = copy.copy(request)
    set_form_fields(probe, fields)
    probe.csrf_processing_done = False
    check = _CsrfVerdict(lambda _: HttpResponse())
    check.process_request(probe)
    check.process_view(probe, lambda: HttpResponse(), (), {})


def principal_of(request: Request) -> Principal:
    """The principal of an authenticated request."""
    principal: Any = request.auth
    assert isinstance(principal, Principal)
    return principal


def upload_principal(request: HttpRequest) -> Principal:
    """The principal of an upload, or a refusal. Called before the body is read."""
    bearer = BearerAuthentication().authenticate(request)
    if bearer is None:
        return Principal(permissions.require_upload(request.user), Scope.all())
    permissions.require_upload(bearer[0])
    bearer[1].require(Scope.UPLOAD)
    return bearer[1]


def form_upload_principal(request: HttpRequest, fields: QueryDict) -> Principal:
    """The principal of an upload by form. Sessions need a CSRF token in the header or in a field before the file."""
    principal = upload_principal(request)
    if principal.token is None:
        check_csrf(request, fields)
    return principal


class HasScope(BasePermission):
    """Refuse a token without the scope that the view declares. A method without declared scopes is refused to all.

    Also sets the actor for the audit log of this request.
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
    """The scope that a resolved view needs for an HTTP method. None: no such method, or not a view of the API."""
    if not hasattr(view, "cls"):
        return None
    return _needed(view.cls, getattr(view, "actions", None), method)


def _needed(view: Any, actions: Mapping[str, str] | None, method: str) -> Scope | None:
    verb = method.lower()
    if verb not in view.http_method_names:
        return None
    if verb == "options":
        return Scope.all()  # it only describes the API
    methods = {verb: verb} if actions is None else actions
    name = methods.get(verb)
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
            "description": "A token from `tokens/`, the admin, or `manage.py token USER`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "uploads.access.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
