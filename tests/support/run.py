"""Run a function in a process of its own: python -m tests.support.run MODULE FUNCTION ARGUMENTS.

The arguments are a JSON list and a JSON object; words that follow are ignored. The result is the last line of the
output, as JSON. Django is set up where the environment names its settings. Tests use this instead of code in strings,
which neither mypy nor ruff would see.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec

P = ParamSpec("P")


def words_for(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> list[str]:
    """What follows `python` on a command line that runs this function."""
    return words_for_name(function.__module__, function.__qualname__, *args, **kwargs)


def words_for_name(module: str, name: str, *args: object, **kwargs: object) -> list[str]:
    """The same for callers that cannot import the function, because they have not loaded Django."""
    return ["-m", "tests.support.run", module, name, json.dumps([args, kwargs], default=str)]


def command_for(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> list[str]:
    return [sys.executable, *words_for(function, *args, **kwargs)]


def result_of(output: str) -> Any:
    return json.loads(output.splitlines()[-1])


def main() -> None:
    module, name, arguments = sys.argv[1:4]
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import django

        django.setup()
    args, kwargs = json.loads(arguments)
    result = getattr(importlib.import_module(module), name)(*args, **kwargs)
    print(json.dumps(result, default=str))  # noqa: T201


if __name__ == "__main__":
    main()
