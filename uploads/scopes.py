"""What a token may be used for, at most. What its account may do is another question, which policy answers."""

from collections.abc import Iterable
from enum import Flag, auto


class Scope(Flag):
    """A set of them, too: of a token, all that it has; of a view, those of which it needs one."""

    UPLOAD = auto()  # send files; see, and until they are complete give up, the uploads that this token began
    READ = auto()  # see and download what the account may see
    WORK = auto()  # submit, cancel and retry jobs
    ADMIN = auto()  # rename, share and delete files, delete jobs, manage tokens

    @classmethod
    def all(cls) -> "Scope":
        return ~cls(0)

    @classmethod
    def of(cls, words: Iterable[str]) -> "Scope":
        """From their names. A ValueError names one that there is not."""
        found = cls(0)
        for word in words:
            if word not in NAMES:
                raise ValueError(f"There is no scope “{word}”. Choose from {', '.join(NAMES)}.")
            found |= cls[word.upper()]
        return found

    @property
    def words(self) -> list[str]:
        return [str(scope.name).lower() for scope in self]


NAMES = Scope.all().words
