"""Run once a session, in a process of its own: a home as `serve` makes it, with accounts and their tokens."""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User

from config import first_start
from uploads.access.tokens import make_token
from uploads.scopes import Scope

PASSWORD = "a long and boring password"
# name -> (is_staff, group)
ACCOUNTS: dict[str, tuple[bool, str]] = {
    "alice": (False, ""),
    "bob": (False, ""),
    "carol": (False, ""),  # of test_api.py alone, which counts what she has
    "viewer": (True, "Viewer"),
    "operator": (True, "Operator"),
}


def main() -> None:
    first_start.prepare()
    tokens, password = {}, make_password(PASSWORD)  # one for all: it takes a quarter of a second
    for name, (is_staff, group) in ACCOUNTS.items():
        user = User.objects.create(username=name, password=password, is_staff=is_staff)
        if group:
            user.groups.add(Group.objects.get(name=group))
        tokens[name] = make_token(user, "test", Scope.all(), None)[1]
    admin = User.objects.create(username="admin", password=password, is_staff=True, is_superuser=True)
    tokens["admin"] = make_token(admin, "test", Scope.all(), None)[1]
    json.dump(tokens, sys.stdout)


if __name__ == "__main__":
    main()
