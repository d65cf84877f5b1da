"""Write .env.example from README's table of settings: python -m tests.support.env_example > .env.example"""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / ".env.example"
_HEAD = """\
# Copy this file to .env, next to manage.py, and remove the # in front of the settings that you want to change. The
# environment takes precedence over this file. A wrong value or an unknown name stops the start.
"""
_ROW = re.compile(
    r"^\| (?P<names>`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (?P<defaults>[^|]*) \| (?P<words>[^|]*)\|$", re.MULTILINE
)
_COMMA_OUTSIDE = re.compile(r", (?=(?:[^`]*`[^`]*`)*[^`]*$)")


def render(readme: str) -> str:
    """Names, defaults and descriptions of each row. A default that is described, and is no value, is left empty."""
    table = readme[readme.index("| setting | default |") :]
    parts = [_HEAD]
    for row in _ROW.finditer(table):
        names = re.findall(r"`([A-Z_]+)`", row["names"])
        defaults = _COMMA_OUTSIDE.split(row["defaults"]) if len(names) > 1 else [row["defaults"]]
        defaults = defaults * len(names) if len(defaults) == 1 else defaults  # one that is the same for all of them
        assert len(names) == len(defaults), f"As many defaults as names, please: {row[0]}"
        comment = "; ".join(filter(None, [row["words"].strip(), _in_words(names, defaults)]))
        lines = [f"#{name}={_value(default)}" for name, default in zip(names, defaults, strict=True)]
        if names != ["MILLRACE_ENV_FILE"]:  # it says where this file is
            parts.append("\n".join([_comment(comment), *lines, ""]))
    return "\n".join(parts)


def _comment(words: str) -> str:
    return textwrap.fill(words, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _value(default: str) -> str:
    literal = re.fullmatch(r"`([^`…]+)`", default.strip())
    return literal[1] if literal else ""


def _in_words(names: list[str], defaults: list[str]) -> str:
    said = [
        f"{name}: {default.strip()}" if len(names) > 1 else default.strip()
        for name, default in zip(names, defaults, strict=True)
        if not _value(default)
    ]
    return f"default: {', '.join(said)}" if said else ""


if __name__ == "__main__":
    wanted = render((ROOT / "README.md").read_text())
    if sys.argv[1:] == ["--check"]:
        if not EXAMPLE.exists() or EXAMPLE.read_text() != wanted:
            sys.exit("README's table of settings has changed: python -m tests.support.env_example > .env.example")
    else:
        sys.stdout.write(wanted)
