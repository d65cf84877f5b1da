"""Commands that Django developers know, and that Millrace replaces by others."""

from typing import Any

from django.core.management.base import CommandError

from uploads.management.terminal_command import TerminalCommand


class RefusedCommand(TerminalCommand):
    """Says what to type instead, whatever arguments are given."""

    advice = ""
    requires_system_checks = []

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(argv[:2])

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError(self.advice)
