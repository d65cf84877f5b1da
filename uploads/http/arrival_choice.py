"""The parameter `presets` of a request that begins an upload: what its client wants to be run on the new file.

It is the same at every entrance: in the query string, or in a form also as a field before the file. (After it, the
form is refused: the choice would come too late.) Without it, what the account has chosen is run. Empty: nothing is.
"""

from django.http import QueryDict

from ..errors import InvalidParams

PRESETS = "presets"  # the parameter
_MOST = 20


def arrival_choice(*sources: QueryDict) -> tuple[str, ...] | None:
    """The names or ids, separated by commas or in several values. None: the request does not choose."""
    values = [value for source in sources for value in source.getlist(PRESETS)]
    names = tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))
    if len(names) > _MOST:
        raise InvalidParams(f"At most {_MOST} presets can run on a new file.")
    return names if values else None
