"""Run once a session, in a process of its own: a home as `serve` makes it, with accounts and their tokens."""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth.models import Group, User

from config import firststart
from uploads.tokens import make_token

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
    firststart.prepare()
    tokens = {}
    for name, (is_staff, group) in ACCOUNTS.items():
        user = User.objects.create_user(name, password=PASSWORD, is_staff=is_staff)
        if group:
            user.groups.add(Group.objects.get(name=group))
        tokens[name] = make_token(user, "test", None)
    admin = User.objects.create_superuser("admin", password=PASSWORD)
    tokens["admin"] = make_token(admin, "test", None)
    json.dump(tokens, sys.stdout)


if __name__ == "__main__":
    main()
