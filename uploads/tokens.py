"""Making and revoking tokens. The token itself is seen once, by whoever made it; we keep a hash."""

from datetime import timedelta

from django.contrib.auth.models import User

from .models import Token
from .scopes import Scope


def make_token(user: User, name: str, scopes: Scope, lifetime: timedelta | None) -> tuple[Token, str]:
    """The row, and the secret, which cannot be had again. Without a lifetime it works until it is revoked."""
    row, secret = Token.objects.create(user, expiry=lifetime, name=name, scopes=scopes.words)
    return row, str(secret)
