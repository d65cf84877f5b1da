"""Making and revoking tokens. The token itself is seen once, by whoever made it; we keep a hash."""

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

MOST = 100  # that work, of one account
USUAL = timedelta(days=90)
LONGEST = timedelta(days=3650)  # but for those that never end


def make_token(user: User, name: str, scopes: Scope, lifetime: timedelta | None) -> tuple[Token, str]:
    """The row, and the secret, which cannot be had again. Without a lifetime it works until it is revoked."""
    with write():
        lock_owner(user.pk)
        working = Token.objects.filter(Q(expiry=None) | Q(expiry__gt=timezone.now()), user=user)
        if working.count() >= MOST:
            raise TooManyTokens(f"The account {user.username} has {MOST} tokens. Revoke some first.")
        row, secret = Token.objects.create(user, expiry=lifetime, name=name, scopes=scopes.words)
        audit_log.note(user, f"Made the token “{name}” for {', '.join(scopes.words)}.")
    return row, str(secret)


def revoke(token: Token) -> None:
    with write():
        if Token.objects.filter(pk=token.pk).delete()[0]:
            audit_log.note(token.user, f"Revoked the token “{token.name}”.")


def pass_on(giver: Principal, name: str, scopes: Scope, lifetime: timedelta | None) -> tuple[Token, str]:
    """Another token of the giver's account. A token makes none that can do more than itself, or for longer."""
    if missing := scopes & ~giver.scopes:
        raise ScopeMissing(next(iter(missing)))
    ends = giver.token.expiry if giver.token is not None else None
    if ends is not None and (lifetime is None or timezone.now() + lifetime > ends):
        raise InvalidParams(f"This token ends at {ends:%Y-%m-%dT%H:%MZ}, and can make none that works for longer.")
    return make_token(giver.user, name, scopes, lifetime)


def usual_lifetime(giver: Principal) -> timedelta:
    """Where nothing is said: a second less than the giver has left, as the clock goes on."""
    ends = giver.token.expiry if giver.token is not None else None
    return USUAL if ends is None else min(USUAL, ends - timezone.now() - timedelta(seconds=1))
