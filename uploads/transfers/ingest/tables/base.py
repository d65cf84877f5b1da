"""What a table of another database offers: the rows of a query with the columns id, name and content.

The query is used as a subquery, so it can only read. Of each row the content is read in pieces, in one transaction: a
value may be larger than the memory.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ....errors import InvalidParams

COLUMNS = ("id", "name", "content")
PIECE = 4 * 1024**2


class TableError(Exception):
    """The other database refuses or fails. The text is for the administrator."""


class ConnectionLost(TableError):
    """No further row can be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the query. Its content is read by `Table.open`."""

    id: Any
    name: str | None


@dataclass(frozen=True, slots=True)
class Value:
    """The content of a row, in a transaction: its size, and where it is."""

    size: int
    place: Any


class Table(ABC):
    place: str  # the database, without user and password

    def __init__(self, query: str) -> None:
        self.query = query.strip().rstrip(";")

    @contextmanager
    def open(self, row: Row, *, writable: bool = False) -> Iterator[Value]:
        """Find the content of a row in a new transaction, which is committed at the end, or rolled back on an error.

        Raises InvalidParams if there is not exactly one row with this id, or if it has no content.
        """
        self.execute(self.begin(writable))
        try:
            yield self._find(row.id)
            self.execute("COMMIT")
        except BaseException:
            with suppress(TableError):
                self.execute("ROLLBACK")
            raise

    def _find(self, row_id: Any) -> Value:
        found = self.find(row_id)
        if len(found) != 1:
            raise InvalidParams("The query returns several rows with this id." if found else "The row is gone.")
        [(size, place)] = found
        if size is None:
            raise InvalidParams("The content is NULL.")
        return Value(size, place)

    @abstractmethod
    def total(self) -> int | None:
        """The size of all contents together. None if it cannot be known without reading them."""

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Iterate over the rows as they were at the beginning."""

    @abstractmethod
    def find(self, row_id: Any) -> Sequence[tuple[int | None, Any]]:
        """Find the size and place of contents with this id: two at most, as one is expected."""

    @abstractmethod
    def pieces(self, value: Value) -> Iterator[bytes]:
        """Read a value from its beginning, in the transaction of its `open`."""

    @abstractmethod
    def check_statement(self, statement: str) -> None:
        """Raise TableError if the database does not understand this statement with one %s. Does not execute it."""

    @abstractmethod
    def change(self, statement: str, row_id: Any) -> int:
        """Execute a statement for one row, in the transaction of its `open`. Returns how many rows it changed."""

    @abstractmethod
    def begin(self, writable: bool) -> str:
        """The statement that begins a transaction."""

    @abstractmethod
    def execute(self, statement: str) -> None:
        """Execute a statement without a result. Raises TableError."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def check_columns(found: Sequence[str]) -> None:
    if missing := [name for name in COLUMNS if name not in found]:
        raise TableError(
            f"The query must return the columns id, name and content (use AS). It returns {', '.join(found)}; "
            f"missing: {', '.join(missing)}."
        )
