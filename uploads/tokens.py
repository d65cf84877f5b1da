"""Making tokens. The token itself is seen once, by whoever made it; we keep a hash."""

from datetime import timedelta

from django.contrib.auth.models import User

from .models import Token


def make_token(user: User, name: str, lifetime: timedelta | None) -> str:
    _row, token = Token.objects.create(user, expiry=lifetime, name=name)
    return str(token)
