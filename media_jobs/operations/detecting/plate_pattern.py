"""The regular expressions that may describe number plates: few enough choices that none takes long to match."""

import re

LONGEST = 100
_TOKEN = re.compile(
    r"""(?P<group>\(\?:|\(|\))
    |(?P<choice>\|)
    |(?P<atom>\[\^?[\w -]+\]|\\[dwDW]|\\[-.+*?()|\[\]{}\\]|[\w .-])
    (?P<count>\{\d{1,2}\})?
    (?P<range>\{\d{1,2},\d{0,2}\}|[*+?])?""",
    re.VERBOSE,
)
# Each choice may double the steps, and a plate has at most twenty characters.
_MOST_CHOICES = 8
_EXAMPLE = "such as [A-Z]{2}[0-9]{3}[A-Z]{2}"


def checked(pattern: str) -> str:
    """The pattern. Raises ValueError if it is none, or one that could take for ever."""
    if len(pattern) > LONGEST:
        raise ValueError(f"may have {LONGEST} characters at most")
    at, choices = 0, 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise ValueError(
                f"must be made of letters, digits, [sets], (groups), |, ?, *, + and {{counts}}, {_EXAMPLE}. "
                "A group may not be repeated"
            )
        choices += bool(token["choice"]) + bool(token["range"])
        at = token.end()
    if choices > _MOST_CHOICES:
        raise ValueError(f"may have {_MOST_CHOICES} of |, ?, *, + and {{n,m}} at most, {_EXAMPLE}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return pattern
