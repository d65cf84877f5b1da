"""Read settings from the environment and from the file `.env`. No other module reads the environment.

A value that is not valid stops the start, and the error names the variable. The settings of the file are added to the
environment of this process and its children, except those that the environment has already.
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

# Every variable that was read. Another one with our prefix is probably misspelt: refuse_unknown() reports it.
known: set[str] = set()


def read(name: str, default: T, parse: Callable[[str], T]) -> T:
    variable = PREFIX + name
    known.add(variable)
    raw = _value_of(variable)
    if not raw:
        return default
    try:
        return parse(raw)
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"{variable}={raw!r} is not valid: {error}") from error


def _value_of(variable: str) -> str:
    """The variable's value; empty if it is not set.

    environ's own methods take `$x` for the name of another variable: a password that begins with $ would be lost.
    """
    value: str = environ.Env.ENVIRON.get(variable, "")
    return value.strip()


def read_file() -> None:
    """Add the settings of the file `.env` to the environment. MILLRACE_ENV_FILE names another file, or `none`.

    Call it before any setting is read.
    """
    named: str = read("ENV_FILE", "", str)
    if named.lower() == "none":
        return
    path = Path(named).expanduser() if named else ROOT / ".env"
    if not named and not path.exists():
        return
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The settings file {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        # environ would ignore such a line, and with it, for example, a limit.
        if line.strip() and not line.startswith("#") and not _LINE.fullmatch(line):
            raise ImproperlyConfigured(
                f"Line {number} of {path} is not a setting. Write NAME=value, or # before a comment."
            )
    environ.Env.read_env(path)


def database(default: str) -> dict[str, Any]:
    return _url("DATABASE_URL", default, environ.Env.db_url_config)


def cache(default: str) -> dict[str, Any]:
    return _url("CACHE_URL", default, environ.Env.cache_url_config)


def email(default: str) -> dict[str, Any]:
    return _url("EMAIL_URL", default, environ.Env.email_url_config)


def text(variable: str, default: str) -> str:
    return _value_of(variable) or default


def _url(variable: str, default: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    raw = text(variable, default)
    try:
        found = parse(raw)
    except Exception as error:  # environ raises errors of many kinds
        raise ImproperlyConfigured(f"{variable} is not a valid URL.") from error
    if "." not in str(
        found.get("ENGINE") or found.get("BACKEND") or found.get("EMAIL_BACKEND")
    ):  # for a known scheme, environ gives the path of a module
        raise ImproperlyConfigured(f"{variable} has a scheme that is not supported.")
    return found


def refuse_unknown() -> None:
    """Raise an error if a variable with our prefix was not read. Call it after all settings were read."""
    unknown = sorted(name for name in environ.Env.ENVIRON if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ImproperlyConfigured(f"There is no setting {', '.join(unknown)}. README.md lists all settings.")
