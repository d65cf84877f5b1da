"""The contract of a store that clients send parts to, without this server in between.

Each part goes to an address that this server has signed. The store keeps the parts until they are assembled.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from .base import Sink, SinkError


class PartsChanged(SinkError):
    """The parts are not those that were to be assembled: a client has sent one of them again."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived."""

    number: int  # from 1
    size: int
    etag: str  # without quotes
    modified: datetime


class DirectWrites(ABC):
    """Open writes whose parts come from clients. Each is named by its key and by an id of the store's."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """Scheme, host and port that clients send parts to."""

    @abstractmethod
    def allow_origins(self, origins: list[str]) -> None:
        """Let pages of these sites send parts, and of no others."""

    @abstractmethod
    def refused_origins(self, origins: list[str]) -> list[str]:
        """Those of these sites whose pages cannot send parts."""

    @abstractmethod
    def part_size(self, size: int) -> int:
        """The size of all parts but the last, of a content of this size."""

    @abstractmethod
    def begin(self, key: str) -> str:
        """Begin a write of `key`, and return its id."""

    @abstractmethod
    def sign(self, key: str, write_id: str, number: int, size: int, seconds: int) -> str:
        """The address for a PUT of one part, which must have exactly this size. It works for `seconds`."""

    @abstractmethod
    def parts(self, key: str, write_id: str) -> Iterator[Part]:
        """Iterate over the parts that have arrived, in no order. Raises NoSuchKey if the write has ended.

        Some stores also list what was replaced: then a number occurs several times.
        """

    @abstractmethod
    def assemble(self, key: str, write_id: str, etags: Mapping[int, str]) -> None:
        """Make these parts the content of `key`, in the order of their numbers. Raises PartsChanged, or NoSuchKey."""

    @abstractmethod
    def abandon(self, key: str, write_id: str) -> None:
        """End a write and delete its parts. Does nothing if it has ended."""


class DirectSink(Sink):
    direct: DirectWrites
