import uuid
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import RequestFactory
from model_bakery import baker

from config.login import FOR_ONE_ACCOUNT, FROM_ONE_ADDRESS
from uploads.authentication import Failures
from uploads.errors import Throttled


def origin() -> str:
    return f"origin-{uuid.uuid4()}"


def test_as_many_failures_as_are_allowed_pass_and_then_no_more() -> None:
    failures = Failures("test", origin(), 3)
    for _ in range(3):
        failures.check()
        failures.count()
    with pytest.raises(Throttled) as refusal:
        failures.check()
    assert refusal.value.retry_after == 60


def test_the_failures_of_one_are_not_anothers() -> None:
    guilty, other = Failures("test", origin(), 1), Failures("test", origin(), 1)
    guilty.count()
    with pytest.raises(Throttled):
        guilty.check()
    other.check()


def test_failures_of_one_sort_are_not_those_of_another() -> None:
    where = origin()
    Failures("token", where, 1).count()
    Failures("login-from", where, 1).check()


def test_a_minute_later_all_is_forgotten() -> None:
    where = origin()
    failures = Failures("test", where, 1)
    failures.count()
    cache.delete(f"failures:test:{where}")  # as its timeout would
    failures.check()
    failures.count()
    with pytest.raises(Throttled):
        failures.check()


@pytest.fixture
def account(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # guesses need not be slow here
    user: User = baker.make(User, username=f"u{uuid.uuid4().hex[:8]}")
    user.set_password("right")
    user.save()
    return user


def sign_in(name: str, password: str, address: str) -> object:
    request = RequestFactory().post("/admin/login/", REMOTE_ADDR=address)
    return authenticate(request, username=name, password=password)


@pytest.mark.django_db
def test_an_account_can_be_guessed_at_a_few_times_and_then_not_even_rightly(account: User) -> None:
    address = origin()
    for _ in range(FOR_ONE_ACCOUNT):
        assert sign_in(account.username, "wrong", address) is None
    with pytest.raises(Throttled):
        sign_in(account.username, "right", address)
    assert sign_in(account.username, "right", origin()) == account


@pytest.mark.django_db
def test_an_address_can_guess_at_a_few_accounts_and_then_at_none(account: User) -> None:
    address = origin()
    for number in range(FROM_ONE_ADDRESS):
        assert sign_in(f"nobody-{number}", "wrong", address) is None
    with pytest.raises(Throttled):
        sign_in(account.username, "right", address)


@pytest.mark.django_db
def test_signing_in_rightly_counts_as_no_failure(account: User) -> None:
    address = origin()
    for _ in range(FROM_ONE_ADDRESS + 1):
        assert sign_in(account.username, "right", address) == account
