"""What our management commands have in common: whatever they print, the terminal only shows it."""

import sys
from typing import Any, TextIO

from django.core.management.base import BaseCommand, OutputWrapper

from ..text.terminal_safety import printable


class _Terminal(OutputWrapper):
    """Colours come from `style_func`: in the text itself they would be written out."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]
        super().write(printable(msg), style_func, ending)


class TerminalCommand(BaseCommand):
    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None, **options: Any) -> None:
        super().__init__(stdout, stderr, **options)
        colour = self.stderr.style_func
        self.stdout, self.stderr = _Terminal(stdout or sys.stdout), _Terminal(stderr or sys.stderr)
        self.stderr.style_func = colour

    def execute(self, *args: Any, **options: Any) -> Any:
        for name in ("stdout", "stderr"):  # of call_command: Django would put its own wrapper here
            if other := options.pop(name, None):
                setattr(self, name, _Terminal(other))
        return super().execute(*args, **options)
