"""Rows of an SQLite database: contents that are BLOBs.

SQLite's functions read a whole value into memory, also `substr`: of 200 MB, each piece took a second. Only a blob
handle reads pieces, and it needs a table, a column and a rowid. So the query is parsed: if it is a plain SELECT of
columns of one table, the rowid is selected, too. Contents of other queries are read whole, and may not be large.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ....errors import InvalidParams
from .base import PIECE, Row, Table, TableError, Value, check_columns

_LARGEST_WHOLE = 64 * 1024**2
_ROWS_AT_A_TIME = 500
_BUSY = 30.0  # seconds to wait for a lock of another program
_ROWID = "millrace_rowid"
_NAME = r'(?:[A-Za-z_]\w*|"[^"]+")'
_COLUMN = rf"({_NAME})(?:\s+AS\s+({_NAME}))?"
_PLAIN = re.compile(
    rf"SELECT\s+(?!DISTINCT\b|ALL\b)(?P<columns>{_COLUMN}(?:\s*,\s*{_COLUMN})*)\s+FROM\s+(?P<table>{_NAME})"
    r"(?P<rest>(?:\s+(?:WHERE|ORDER|LIMIT)\b.*)?)",
    re.IGNORECASE | re.DOTALL,
)
_NOT_PLAIN = re.compile(r"--|/\*|\b(?:UNION|EXCEPT|INTERSECT|GROUP)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Plain:
    """A query whose contents are a column of a table."""

    query: str  # returns the rowid, too
    table: str
    column: str


def parse_plain(query: str) -> Plain | None:
    """Find the table and the column of the contents. None if the query is not a plain one."""
    match = _PLAIN.fullmatch(query)
    if match is None or _NOT_PLAIN.search(query):
        return None
    found = re.findall(_COLUMN, match["columns"], re.IGNORECASE)
    columns = {_unquoted(alias or name).lower(): _unquoted(name) for name, alias in found}
    if "content" not in columns:
        return None
    with_rowid = f"SELECT {match['columns']}, rowid AS {_ROWID} FROM {match['table']}{match['rest']}"  # noqa: S608
    return Plain(with_rowid, _unquoted(match["table"]), columns["content"])


def _unquoted(name: str) -> str:
    return name.strip('"')


class SqliteTable(Table):
    def __init__(self, path: Path, query: str, *, writable: bool) -> None:
        super().__init__(query)
        self._plain: Plain | None = None
        if not path.is_file():
            raise TableError(f"There is no file {path}.")
        self.place = f"sqlite:///{path.resolve()}"
        with _errors():
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode={'rw' if writable else 'ro'}",
                uri=True,
                isolation_level=None,
                timeout=_BUSY,
            )
            self._connection.text_factory = lambda text: text.decode(errors="replace")
            columns = self._connection.execute(self._select("*", "LIMIT 0")).description
        check_columns([column[0].lower() for column in columns])
        self._plain = self._find_plain()
        self._list()

    def _find_plain(self) -> Plain | None:
        plain = parse_plain(self.query)
        if plain is None:
            return None
        try:
            rows = self._connection.execute(f"SELECT {_ROWID} FROM ({plain.query}) LIMIT 1").fetchall()  # noqa: S608
        except sqlite3.Error:
            return None  # a table WITHOUT ROWID
        return plain if not rows or rows[0][0] is not None else None  # a view has none

    def _list(self) -> None:
        """Keep a list of the rows in a temporary table: a query that is not finished would lock the database."""
        with _errors():
            self._connection.execute(
                "CREATE TEMP TABLE millrace_rows AS " + self._select("id, name, length(content) AS size")
            )

    def total(self) -> int | None:
        with _errors():
            return int(self._connection.execute("SELECT coalesce(sum(size), 0) FROM millrace_rows").fetchone()[0])

    def rows(self) -> Iterator[Row]:
        last = 0
        page = f"SELECT rowid, id, name FROM millrace_rows WHERE rowid > ? ORDER BY rowid LIMIT {_ROWS_AT_A_TIME}"  # noqa: S608
        while True:
            with _errors():
                found = self._connection.execute(page, [last]).fetchall()
            if not found:
                return
            for _, row_id, name in found:
                yield Row(row_id, None if name is None else str(name))
            last = found[-1][0]

    def find(self, row_id: Any) -> Sequence[tuple[int | None, Any]]:
        columns = f"typeof(content), length(content), {_ROWID if self._plain else 'id'}"
        with _errors():
            found = self._connection.execute(self._select(columns, "WHERE id = ?"), [row_id]).fetchmany(2)
        if kinds := {kind for kind, _, _ in found} - {"blob", "null"}:
            raise InvalidParams(f"The content is no BLOB. It is of the type {kinds.pop()}.")
        return [(size, place) for _, size, place in found]

    def pieces(self, value: Value) -> Iterator[bytes]:
        if self._plain is not None:
            yield from self._blob_pieces(self._plain, value.place)
        elif value.size <= _LARGEST_WHOLE:
            with _errors():
                yield self._connection.execute(self._select("content", "WHERE id = ?"), [value.place]).fetchone()[0]
        else:
            raise InvalidParams(
                "SQLite reads a large value in pieces only if the query is a plain one: "
                "SELECT column AS id, column AS name, column AS content FROM table WHERE …"
            )

    def _blob_pieces(self, plain: Plain, rowid: int) -> Iterator[bytes]:
        with _errors():
            blob = self._connection.blobopen(plain.table, plain.column, rowid, readonly=True)
        with blob:
            while True:
                with _errors():
                    piece = blob.read(PIECE)
                if not piece:
                    return
                yield piece

    def check_statement(self, statement: str) -> None:
        with _errors():
            self._connection.execute(f"EXPLAIN {_with_mark(statement)}", [None])

    def change(self, statement: str, row_id: Any) -> int:
        with _errors():
            return self._connection.execute(_with_mark(statement), [row_id]).rowcount

    def begin(self, writable: bool) -> str:
        return "BEGIN IMMEDIATE" if writable else "BEGIN"

    def execute(self, statement: str) -> None:
        with _errors():
            self._connection.execute(statement)

    def close(self) -> None:
        self._connection.close()

    def _select(self, columns: str, condition: str = "") -> str:
        query = self._plain.query if self._plain else self.query
        return f"SELECT {columns} FROM (\n{query}\n) AS source {condition}"  # noqa: S608  # the administrator's own


def _with_mark(statement: str) -> str:
    """The statement with SQLite's mark for a value."""
    return statement.replace("%s", "?")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise TableError(str(error)) from error
