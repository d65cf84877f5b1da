"""Passwords may be guessed a few times a minute, from one address and for one account, on whatever page."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest

from uploads.authentication import Failures

FROM_ONE_ADDRESS = 20
FOR_ONE_ACCOUNT = 10


class ThrottledBackend(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> User | None:
        address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
        counters = [
            Failures("login-from", address, FROM_ONE_ADDRESS),
            Failures("login-as", f"{username}@{address}", FOR_ONE_ACCOUNT),
        ]
        for counter in counters:
            counter.check()
        user = super().authenticate(request, username=username, password=password, **more)
        if user is None:
            for counter in counters:
                counter.count()
        return user
