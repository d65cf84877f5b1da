from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from uploads.access.tokens import MAX_LIFETIME, make_token
from uploads.management.terminal_command import TerminalCommand
from uploads.scopes import NAMES, Scope


class Command(TerminalCommand):
    help = "Make a token for an account. The token is the last word printed; it cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the account's name")
        parser.add_argument("--name", default="command line", help="what the token is for (%(default)s)")
        parser.add_argument(
            "--scopes", default=",".join(NAMES), help="what it may be used for, separated by commas (%(default)s)"
        )
        parser.add_argument("--days", type=float, default=90, help="how long it works (%(default)s); 0: for ever")

    def handle(self, *args: Any, user: str, name: str, scopes: str, days: float, **options: Any) -> None:
        account = get_user_model().objects.filter(username=user).first()
        if account is None:
            raise CommandError(f"There is no account “{user}”. Make one in the admin, or with createsuperuser.")
        try:
            allowed = Scope.of(word.strip() for word in scopes.split(","))
        except ValueError as error:
            raise CommandError(str(error)) from error
        if not 0 <= days <= MAX_LIFETIME.days:  # nor if it is no number
            raise CommandError(f"--days may be up to {MAX_LIFETIME.days}, or 0 for ever.")
        lifetime = timedelta(days=days) if days else None
        ends = f"for {days:g} days" if days else "until it is revoked"
        # Beside the token, so that TOKEN=$(manage.py token admin) holds the token alone.
        self.stderr.write(f"“{name}”, for {', '.join(allowed.words)}, works {ends}:")
        _row, secret = make_token(account, name, allowed, lifetime)
        self.stdout.write(secret)
