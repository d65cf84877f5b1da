"""Signing in with a password: limits for failed attempts and for passwords that are hashed at the same time."""

from contextvars import ContextVar
from threading import Semaphore
from typing import Any

from django.conf import settings
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
_REMEMBERED = 30 * 86400  # seconds for which the address of a successful login is known for that account
_KNOWN_ADDRESS_WAITS = 5.0  # seconds to wait for a free core, for a login from a known address

# A hash takes a core for a third of a second, by design. Two hundred at once kept the machine busy for half a minute.
HASHES_AT_ONCE = Semaphore(settings.PASSWORDS_AT_ONCE)
_max_wait: ContextVar[float] = ContextVar("max_wait", default=0.0)


class BoundedHasher(PBKDF2PasswordHasher):
    """Django's hasher, used for as many passwords at once as there are cores. Further logins are refused."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not HASHES_AT_ONCE.acquire(timeout=_max_wait.get()):
            raise Throttled(
                "Too many people are signing in at the moment. Try again in a few seconds.", retry_after=2
            )
        try:
            return super().encode(password, salt, iterations)
        finally:
            HASHES_AT_ONCE.release()


class ThrottledBackend(ModelBackend):
    """Accounts of the database. Sessions store the name of this class: if it moves, everybody is signed out."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> User | None:
        address = network(request.META.get("REMOTE_ADDR", "") if request is not None else "")
        known_key = cache_key("signed-in", f"{username}@{address}")
        is_known_address = bool(cache.get(known_key))
        waiting = _max_wait.set(_KNOWN_ADDRESS_WAITS if is_known_address else 0.0)
        try:
            with counted(*_attempts(str(username), address, is_known_address)) as give_back:
                user = super().authenticate(request, username=username, password=password, **more)
                if user is not None:
                    give_back()
        finally:
            _max_wait.reset(waiting)
        if user is not None:
            cache.set(known_key, True, timeout=_REMEMBERED)
        return user


def _attempts(username: str, address: str, is_known_address: bool) -> list[Attempts]:
    """The counters of an attempt. Guesses from elsewhere do not lock an account out of its known addresses."""
    found = [
        Attempts("login-from", address, FROM_ONE_ADDRESS),
        Attempts("login-as", f"{username}@{address}", FOR_ONE_ACCOUNT),
    ]
    if not is_known_address:
        text = "Too many failed attempts to sign in to this account. Wait a minute."
        found.append(Attempts("login-anywhere", username, FROM_ANYWHERE, text))
    return found


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Shows above its fields that there were too many attempts."""

    refusal: Throttled | None = None

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except Throttled as refusal:
            self.refusal = refusal
            raise ValidationError(refusal.detail, code=refusal.code) from refusal
        return cleaned


def login(request: HttpRequest) -> HttpResponseBase:
    """The admin's login page, with status 429 and Retry-After if there were too many attempts."""
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
