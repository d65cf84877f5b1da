"""Create and revoke tokens. The secret is shown once, at creation; the database has only its hash."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from .. import audit_log
from ..errors import InvalidParams, ScopeMissing, TooManyTokens
from ..models import Token
from ..runtime.database_connections import write
from ..scopes import Scope
from ..transfers.quota import lock_owner
from .authentication import Principal

MAX_TOKENS = 100  # valid ones, per account
DEFAULT_LIFETIME = timedelta(days=90)
MAX_LIFETIME = timedelta(days=3650)  # of a token with an expiry


def make_token(user: User, name: str, scopes: Scope, lifetime: timedelta | None) -> tuple[Token, str]:
    """Create a token. Returns the row and the secret. Without a lifetime the token is valid until it is revoked."""
    with write():
        lock_owner(user.pk)
        working = Token.objects.filter(Q(expiry=None) | Q(expiry__gt=timezone.now()), user=user)
        if working.count() >= MAX_TOKENS:
            raise TooManyTokens(f"The account {user.username} has {MAX_TOKENS} tokens. Revoke some first.")
        row, secret = Token.objects.create(user, expiry=lifetime, name=name, scopes=scopes.words)
        audit_log.note(user, f"Created the token “{name}” with the scopes {', '.join(scopes.words)}.")
    return row, str(secret)


def revoke(token: Token) -> None:
    with write():
        if Token.objects.filter(pk=token.pk).delete()[0]:
            audit_log.note(token.user, f"Revoked the token “{token.name}”.")


def make_own_token(principal: Principal, name: str, scopes: Scope, lifetime: timedelta | None) -> tuple[Token, str]:
    """Create another token of the principal's account. It may have no more scopes and no later expiry than theirs."""
    if missing := scopes & ~principal.scopes:
        raise ScopeMissing(next(iter(missing)))
    ends = principal.token.expiry if principal.token is not None else None
    if ends is not None and (lifetime is None or timezone.now() + lifetime > ends):
        raise InvalidParams(
            f"This token expires at {ends:%Y-%m-%dT%H:%MZ}. A token that it creates may not expire later."
        )
    return make_token(principal.user, name, scopes, lifetime)


def default_lifetime(principal: Principal) -> timedelta:
    """The default lifetime, but one second less than what is left of the principal's own token."""
    ends = principal.token.expiry if principal.token is not None else None
    return DEFAULT_LIFETIME if ends is None else min(DEFAULT_LIFETIME, ends - timezone.now() - timedelta(seconds=1))
