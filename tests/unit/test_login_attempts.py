"""How often somebody may guess, and how many passwords are hashed at once."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client, RequestFactory
from model_bakery import baker

from config.login import FOR_ONE_ACCOUNT, FROM_ANYWHERE, FROM_ONE_ADDRESS, HASHES_AT_ONCE
from uploads.access.attempt_limits import Attempts, cache_key, counted, network
from uploads.errors import Throttled


def origin() -> str:
    return f"origin-{uuid.uuid4()}"


def is_refused(attempts: Attempts) -> bool:
    try:
        attempts.take()
    except Throttled:
        return True
    return False


def test_as_many_attempts_as_are_allowed_pass_and_then_no_more() -> None:
    attempts = Attempts("test", origin(), 3)
    for _ in range(3):
        attempts.take()
    with pytest.raises(Throttled) as refusal:
        attempts.take()
    assert refusal.value.retry_after == 60


def test_of_many_at_once_as_many_pass_as_are_allowed() -> None:
    attempts = Attempts("test", origin(), 10)
    with ThreadPoolExecutor(50) as threads:
        refused = list(threads.map(lambda _: is_refused(attempts), range(200)))
    assert refused.count(False) == 10


def test_the_attempts_of_one_are_not_anothers() -> None:
    guilty, other = Attempts("test", origin(), 1), Attempts("test", origin(), 1)
    assert [is_refused(guilty) for _ in range(2)] == [False, True]
    assert not is_refused(other)


def test_attempts_of_one_sort_are_not_those_of_another() -> None:
    where = origin()
    assert not is_refused(Attempts("token", where, 1))
    assert not is_refused(Attempts("login-from", where, 1))


def test_one_that_is_given_back_was_none() -> None:
    attempts = Attempts("test", origin(), 1)
    for _ in range(3):
        attempts.take()
        attempts.give_back()


def test_a_minute_later_all_is_forgotten() -> None:
    where = origin()
    attempts = Attempts("test", where, 1)
    attempts.take()
    cache.delete(cache_key("test", where))  # as its timeout would
    attempts.give_back()
    assert [is_refused(attempts) for _ in range(2)] == [False, True]


def test_a_refused_attempt_counts_nowhere() -> None:
    first, full = Attempts("test", origin(), 1), Attempts("test", origin(), 0)
    with pytest.raises(Throttled), counted(first, full):
        pytest.fail("the block must not be entered")
    assert not is_refused(first)


def test_an_attempt_that_fails_for_our_reasons_counts_nowhere() -> None:
    attempts = Attempts("test", origin(), 1)
    with pytest.raises(OSError), counted(attempts):
        raise OSError
    assert not is_refused(attempts)


@pytest.mark.parametrize(
    ("address", "one"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_and_of_ipv6_a_network(address: str, one: str) -> None:
    assert network(address) == one


@contextmanager
def all_cores_busy() -> Iterator[None]:
    taken = 0
    while HASHES_AT_ONCE.acquire(blocking=False):
        taken += 1
    try:
        yield
    finally:
        HASHES_AT_ONCE.release(taken)


def test_no_more_passwords_are_hashed_at_once_than_there_are_cores() -> None:
    with all_cores_busy(), pytest.raises(Throttled) as refusal:
        make_password("secret")
    assert refusal.value.retry_after
    assert check_password("secret", make_password("secret"))


@pytest.fixture
def account() -> User:
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


@pytest.mark.django_db
def test_guesses_from_everywhere_end_and_do_not_lock_the_owner_out(account: User) -> None:
    home = origin()
    assert sign_in(account.username, "right", home) == account
    for _ in range(FROM_ANYWHERE):
        assert sign_in(account.username, "wrong", origin()) is None
    with pytest.raises(Throttled):
        sign_in(account.username, "right", origin())
    assert sign_in(account.username, "right", home) == account
    for _ in range(FOR_ONE_ACCOUNT):  # but nobody guesses there for ever either
        assert sign_in(account.username, "wrong", home) is None
    with pytest.raises(Throttled):
        sign_in(account.username, "right", home)


@pytest.mark.django_db
def test_the_login_page_says_that_somebody_has_to_wait() -> None:
    client = Client(REMOTE_ADDR=origin())
    with all_cores_busy():
        answer = client.post("/admin/login/", {"username": "nobody", "password": "wrong"})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    page = answer.content.decode()
    assert "Try again in a few seconds." in page
    assert 'name="password"' in page


@pytest.mark.django_db
def test_the_old_password_can_be_guessed_at_a_few_times_only(account: User) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="right"))

    def change(old: str) -> Any:
        form = {"old_password": old, "new_password1": "a-Long-new-1", "new_password2": "a-Long-new-1"}
        return client.post("/admin/password_change/", form)

    for _ in range(10):
        assert b"Too many wrong" not in change("wrong").content
    assert b"Too many wrong passwords. Wait a minute." in change("right").content
