"""Accounts, their limits and their tokens, set up in a server's Django. Tests run these by Server.call."""

from datetime import UTC, datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User

from tests.support.prepared_home import PASSWORD
from uploads.access.tokens import make_token
from uploads.models import AccountLimits, SinkMark, Token
from uploads.scopes import NAMES, Scope


def make_staff(name: str, codenames: list[str]) -> str:
    """A member of staff with these permissions. Returns a token that may do all that the account may."""
    user = User.objects.create(username=name, is_staff=True, password=make_password(PASSWORD))
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return make_token(user, "test", Scope.of(NAMES), None)[1]


def make_staff_with_all_permissions(name: str) -> str:
    return make_staff(name, list(Permission.objects.values_list("codename", flat=True)))


def delete_all() -> None:
    User.objects.all().delete()


def make_disabled(name: str) -> None:
    User.objects.create(username=name, is_active=False)


def set_active(name: str, is_active: bool) -> None:
    User.objects.filter(username=name).update(is_active=is_active)


def add_to_group(name: str, group: str) -> None:
    User.objects.get(username=name).groups.add(Group.objects.get_or_create(name=group)[0])


def limit_account(
    name: str, quota: int | None = None, max_file_size: int | None = None, max_uploads: int | None = None
) -> int:
    """Returns the id of the account."""
    user = User.objects.get(username=name)
    AccountLimits.objects.create(user=user, quota=quota, max_file_size=max_file_size, max_uploads=max_uploads)
    return user.pk


def limit_group(name: str, max_file_size: int) -> int:
    """Returns the id of the group."""
    group, _ = Group.objects.get_or_create(name=name)
    AccountLimits.objects.create(group=group, max_file_size=max_file_size)
    return group.pk


def make_tokens(name: str, number: int) -> None:
    user = User.objects.get(username=name)
    for _ in range(number):
        make_token(user, "x", Scope.READ, None)


def delete_tokens(name: str) -> None:
    Token.objects.filter(name=name).delete()


def expire_tokens(name: str) -> None:
    Token.objects.filter(name=name).update(expiry=datetime(2020, 1, 1, tzinfo=UTC))


def make_tokens_unlimited(name: str) -> None:
    Token.objects.filter(name=name).update(expiry=None)


def backdate_accounts() -> None:
    """An installation that has been used since 2020."""
    User.objects.update(date_joined=datetime(2020, 1, 1, tzinfo=UTC))


def count_accounts_and_marks() -> list[int]:
    return [User.objects.count(), SinkMark.objects.count()]
