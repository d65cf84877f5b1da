"""The scopes of tokens. A token may do what both its scopes and the permissions of its account allow."""

from collections.abc import Iterable
from enum import Flag, auto


class Scope(Flag):
    """A set of scopes: those of a token, or those of which a view needs one."""

    UPLOAD = auto()  # send files; see the uploads that this token began, and cancel them while they are incomplete
    READ = auto()  # see and download what the account may see
    WORK = auto()  # submit, cancel and retry jobs
    ADMIN = auto()  # rename, share and delete files, delete jobs, manage presets and tokens

    @classmethod
    def all(cls) -> "Scope":
        return ~cls(0)

    @classmethod
    def of(cls, names: Iterable[str]) -> "Scope":
        """Return the scopes with these names. Raises ValueError for an unknown name."""
        found = cls(0)
        for name in names:
            if name not in NAMES:
                raise ValueError(f"There is no scope “{name}”. Choose from {', '.join(NAMES)}.")
            found |= cls[name.upper()]
        return found

    @property
    def words(self) -> list[str]:
        return [str(scope.name).lower() for scope in self]


NAMES = Scope.all().words
