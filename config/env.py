"""The settings of this installation: variables of the environment, read here and nowhere else, and the file `.env`.

A wrong value stops the start with the variable's name. A file's settings are added to the environment of this process
and so to that of the processes that it starts; what the real environment says wins.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

CODE = Path(__file__).resolve().parent.parent
# Where .env and `var` are: in a checkout, or, after `pip install`, in the folder that the command was started in.
ROOT = CODE if (CODE / "pyproject.toml").exists() else Path.cwd()
PREFIX = "MILLRACE_"
T = TypeVar("T")

_LINE = re.compile(r"(?:export )?[A-Za-z_]\w*=.*")

# Every variable that was asked for: an unknown one with our prefix is a typing error, and is said to be one.
known: set[str] = set()


def read(name: str, default: T, parse: Callable[[str], T]) -> T:
    variable = PREFIX + name
    known.add(variable)
    raw = _said(variable)
    if not raw:
        return default
    try:
        return parse(raw)
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"{variable}={raw!r} cannot be used: {error}") from error


def _said(variable: str) -> str:
    """What stands there, and nothing if it is empty or absent. Not by the library's methods: to them `$x` is the name
    of another variable, and where there is none, a password or limit that begins so would not be set.
    """
    value: str = environ.Env.ENVIRON.get(variable, "")
    return value.strip()


def read_file() -> None:
    """Read it before any setting. MILLRACE_ENV_FILE names another file, or `none`."""
    named: str = read("ENV_FILE", "", str)
    if named.lower() == "none":
        return
    path = Path(named).expanduser() if named else ROOT / ".env"
    if not named and not path.exists():
        return
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The file of settings {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        # The library would leave such a line out, and with it a limit that somebody relies on.
        if line.strip() and not line.startswith("#") and not _LINE.fullmatch(line):
            raise ImproperlyConfigured(
                f"Line {number} of {path} is no setting: write NAME=value, or # for a comment."
            )
    environ.Env.read_env(path)


def database(default: str) -> dict[str, Any]:
    return _url("DATABASE_URL", default, environ.Env.db_url_config)


def cache(default: str) -> dict[str, Any]:
    return _url("CACHE_URL", default, environ.Env.cache_url_config)


def email(default: str) -> dict[str, Any]:
    return _url("EMAIL_URL", default, environ.Env.email_url_config)


def text(variable: str, default: str) -> str:
    return _said(variable) or default


def _url(variable: str, default: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    raw = text(variable, default)
    try:
        found = parse(raw)
    except Exception as error:  # the library raises whatever its parsing of a URL came upon
        raise ImproperlyConfigured(f"{variable} cannot be read as an address.") from error
    if "." not in str(
        found.get("ENGINE") or found.get("BACKEND") or found.get("EMAIL_BACKEND")
    ):  # what it knows is the path of a module
        raise ImproperlyConfigured(f"{variable} names nothing that Django knows.")
    return found


def refuse_unknown() -> None:
    """Call it when everything was read."""
    unknown = sorted(name for name in environ.Env.ENVIRON if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ImproperlyConfigured(f"There is no setting {', '.join(unknown)}. README.md lists those there are.")
