import os
import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from config import first_start
from config.addresses import with_port
from config.processes import instance_lock, parent_death
from config.processes.supervisor import CannotStart, Child, Tree, manage, slots, web
from uploads.errors import StorageUnavailable
from uploads.management.terminal_command import TerminalCommand


def _others() -> list[Child]:
    workers = [child for lane, number in settings.SLOTS.items() for child in slots(lane, number, essential=False)]
    return [Child("housekeeping", manage("housekeeping")), *workers]


class Command(TerminalCommand):
    help = "Run Millrace: web server, workers and housekeeping, in one process tree."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--with-parent", action="store_true", help="end when the process that started this ends")
        parser.add_argument(
            "--web-only",
            action="store_true",
            help="only the web server; `worker` and `housekeeping` run elsewhere, such as in other containers",
        )

    def handle(self, *args: Any, with_parent: bool, web_only: bool, **options: Any) -> None:
        if with_parent:
            parent_death.end_with_parent(os.getppid())
        instance_lock.hold_shared()
        self._check_port()
        try:
            first_start.prepare()
        except StorageUnavailable as error:
            raise CommandError(error.detail) from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        self._greet(first_start.first_account())
        try:
            Tree("serve", [Child("web", web()), *([] if web_only else _others())]).run()
        except CannotStart as error:
            raise CommandError(str(error)) from error

    def _check_port(self) -> None:
        """Fail at once if the port is taken: gunicorn would try several times first."""
        family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
        try:
            socket.create_server((settings.HOST, settings.PORT), family=family).close()
        except OSError as error:
            raise CommandError(
                f"{with_port(settings.HOST, settings.PORT)} cannot be used ({error.strerror}). Set another "
                "MILLRACE_PORT."
            ) from error

    def _greet(self, account: tuple[str, str] | None) -> None:
        address = settings.PUBLIC_URL or f"http://{with_port(settings.HOST, settings.PORT)}"
        self.stdout.write(f"Millrace on {address}/", self.style.SUCCESS)
        if account:
            self.stdout.write("Sign in as {} with {} (shown only once)".format(*account))
        self.stdout.write(
            "Upload a file, from another terminal in this folder:\n"
            "  TOKEN=$(.venv/bin/python manage.py token admin)\n"
            f'  curl -H "Authorization: Bearer $TOKEN" -T movie.mp4 {address}/api/v1/upload/\n'
        )
        self.stdout.flush()
