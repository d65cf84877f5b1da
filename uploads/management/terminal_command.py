"""Base class of our management commands: escapes control characters in everything they print."""

import sys
from typing import Any, TextIO

from django.core.management.base import BaseCommand, OutputWrapper

from ..text.terminal_safety import printable


class _Terminal(OutputWrapper):
    """Escapes the text. Colours are added by `style_func` afterwards."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]
        super().write(printable(msg), style_func, ending)


class TerminalCommand(BaseCommand):
    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None, **options: Any) -> None:
        super().__init__(stdout, stderr, **options)
        colour = self.stderr.style_func
        self.stdout, self.stderr = _Terminal(stdout or sys.stdout), _Terminal(stderr or sys.stderr)
        self.stderr.style_func = colour

    def execute(self, *args: Any, **options: Any) -> Any:
        for name in ("stdout", "stderr"):  # from call_command: Django would use its own wrapper
            if other := options.pop(name, None):
                setattr(self, name, _Terminal(other))
        return super().execute(*args, **options)
