"""A file of settings, `.env` beside manage.py. What stands in the real environment wins.

It is added to the environment of this process, and with it to that of the processes that this one starts.
"""

import re
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from config import env

_LINE = re.compile(r"(?:export )?[A-Za-z_]\w*=.*")


def load() -> None:
    """Read it before any setting. MILLRACE_ENV_FILE names another file, or `none`."""
    named: str = env.read("ENV_FILE", "", str)
    if named.lower() == "none":
        return
    path = Path(named).expanduser() if named else env.ROOT / ".env"
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
