from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from uploads.access.tokens import MAX_LIFETIME, make_token
from uploads.management.terminal_command import TerminalCommand
from uploads.scopes import NAMES, Scope


class Command(TerminalCommand):
    help = "Create an API token for an account. It is printed to stdout, and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the username of the account")
        parser.add_argument("--name", default="command line", help="what the token is for (%(default)s)")
        parser.add_argument("--scopes", default=",".join(NAMES), help="comma-separated scopes (%(default)s)")
        parser.add_argument("--days", type=float, default=90, help="days until it expires (%(default)s); 0: never")

    def handle(self, *args: Any, user: str, name: str, scopes: str, days: float, **options: Any) -> None:
        account = get_user_model().objects.filter(username=user).first()
        if account is None:
            raise CommandError(f"There is no account “{user}”. Create one in the admin, or with createsuperuser.")
        try:
            allowed = Scope.of(word.strip() for word in scopes.split(","))
        except ValueError as error:
            raise CommandError(str(error)) from error
        if not 0 <= days <= MAX_LIFETIME.days:  # also refuses NaN
            raise CommandError(f"--days must be between 0 and {MAX_LIFETIME.days}; 0 means that it does not expire.")
        lifetime = timedelta(days=days) if days else None
        ends = f"expires in {days:g} days" if days else "does not expire"
        # To stderr, so that TOKEN=$(manage.py token admin) contains only the token.
        self.stderr.write(f"Token “{name}” with the scopes {', '.join(allowed.words)}, {ends}:")
        _row, secret = make_token(account, name, allowed, lifetime)
        self.stdout.write(secret)
