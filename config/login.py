"""Signing in with a password: how often somebody may try, and how many passwords are hashed at once."""

import os
from contextvars import ContextVar
from threading import Semaphore
from typing import Any

from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core.cache import cache
from django.forms import ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from unfold.forms import AuthenticationForm

from config.http import error_responses
from uploads.access.attempt_limits import Attempts, cache_key, counted, network
from uploads.errors import Throttled

# Failed attempts within a minute.
FROM_ONE_ADDRESS = 20
FOR_ONE_ACCOUNT = 10  # from one address
FROM_ANYWHERE = 50  # for one account
_REMEMBERED = 30 * 86400  # seconds for which an address is remembered as one that the account signs in from
_PATIENCE = 5.0  # seconds that somebody from there waits for a turn to hash

# A hash takes a core for a third of a second, on purpose. Two hundred at once took the machine for half a minute.
HASHES_AT_ONCE = Semaphore(os.cpu_count() or 1)
_patience: ContextVar[float] = ContextVar("patience", default=0.0)


class BoundedHasher(PBKDF2PasswordHasher):
    """Django's own, as many at once as there are cores; the next is refused instead of waiting in a thread."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not HASHES_AT_ONCE.acquire(timeout=_patience.get()):
            raise Throttled("Many people sign in just now. Try again in a few seconds.", retry_after=2)
        try:
            return super().encode(password, salt, iterations)
        finally:
            HASHES_AT_ONCE.release()


class ThrottledBackend(ModelBackend):
    """Accounts of the database. Sessions name this class: it cannot move without signing everybody out."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> User | None:
        address = network(request.META.get("REMOTE_ADDR", "") if request is not None else "")
        familiar = cache_key("signed-in", f"{username}@{address}")
        is_familiar = bool(cache.get(familiar))
        waiting = _patience.set(_PATIENCE if is_familiar else 0.0)
        try:
            with counted(*_attempts(str(username), address, is_familiar)) as give_back:
                user = super().authenticate(request, username=username, password=password, **more)
                if user is not None:
                    give_back()
        finally:
            _patience.reset(waiting)
        if user is not None:
            cache.set(familiar, True, timeout=_REMEMBERED)
        return user


def _attempts(username: str, address: str, is_familiar: bool) -> list[Attempts]:
    """What counts an attempt. Where the account has signed in lately, its owner is not locked out by guesses from
    elsewhere.
    """
    found = [
        Attempts("login-from", address, FROM_ONE_ADDRESS),
        Attempts("login-as", f"{username}@{address}", FOR_ONE_ACCOUNT),
    ]
    if not is_familiar:
        words = "Too many failed attempts to sign in to this account. Wait a minute."
        found.append(Attempts("login-anywhere", username, FROM_ANYWHERE, words))
    return found


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Says in words, above its fields, that somebody has to wait."""

    refusal: Throttled | None = None

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except Throttled as refusal:
            self.refusal = refusal
            raise ValidationError(refusal.detail, code=refusal.code) from refusal
        return cleaned


def login(request: HttpRequest) -> HttpResponseBase:
    """The admin's page; with the status and Retry-After of a refusal where its form says one."""
    response: Any = admin.site.login(request)
    form = (getattr(response, "context_data", None) or {}).get("form")
    if isinstance(form, LoginForm) and form.refusal is not None:
        problem = error_responses.of(form.refusal)
        assert problem is not None
        response.status_code, response.problem_code = problem.status, problem.code
        for name, value in problem.headers.items():
            response[name] = value
    page: HttpResponseBase = response
    return page
