"""Rows of a PostgreSQL database: contents of type bytea, or large objects (oid)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from .base import PIECE, ConnectionLost, Row, Table, TableError, Value, check_columns

_BYTEA, _OID = 17, 26  # the same in every PostgreSQL
_READ_LARGE_OBJECT = 0x40000
_ROWS_AT_A_TIME = 500


class PostgresTable(Table):
    def __init__(self, dsn: str, query: str) -> None:
        super().__init__(query)
        self._connection: psycopg.Connection[Any] | None = None
        with self._errors():
            self._connection = psycopg.connect(dsn, autocommit=True, application_name="millrace ingest")
        info = self._connection.info
        self.place = f"postgresql://{info.host}:{info.port}/{info.dbname}"
        self.execute("SET default_transaction_read_only = on")
        self._is_large_object = self._check_content()

    def _check_content(self) -> bool:
        """Check what the query returns. Returns whether contents are large objects."""
        columns = self._run(self._select("*", "LIMIT 0")).description or []
        types = {column.name: column.type_code for column in columns}
        check_columns(list(types))
        if types["content"] not in {_BYTEA, _OID}:
            known = psycopg.adapters.types.get(types["content"])
            name = known.name if known else f"number {types['content']}"
            raise TableError(f"The column content must be of the type bytea, or oid (a large object). It is {name}.")
        return types["content"] == _OID

    def total(self) -> int | None:
        if self._is_large_object:
            return None
        [[total]] = self._run(self._select("coalesce(sum(octet_length(content)), 0)")).fetchall()
        return int(total)

    def rows(self) -> Iterator[Row]:
        assert self._connection is not None
        # A cursor that outlives its transaction: the server keeps the list, in a file if it is long.
        with self._errors(), self._connection.cursor("millrace_rows", withhold=True) as cursor:
            cursor.itersize = _ROWS_AT_A_TIME
            cursor.execute(self._select("id, name::text"), ())
            for row_id, name in cursor:
                yield Row(row_id, name)

    def find(self, row_id: Any) -> Sequence[tuple[int | None, Any]]:
        size = "octet_length(content)"
        if self._is_large_object:
            size = f"lo_lseek64(lo_open(content, {_READ_LARGE_OBJECT}), 0, 2)"
        place = "content" if self._is_large_object else "id"
        return self._run(self._select(f"{size}, {place}", "WHERE id = %s"), row_id).fetchmany(2)

    def pieces(self, value: Value) -> Iterator[bytes]:
        piece = "SELECT lo_get(%s, %s, %s)"
        if not self._is_large_object:
            piece = self._select("substring(content from %s for %s)", "WHERE id = %s")
        for start in range(0, value.size, PIECE):
            where = (value.place, start, PIECE) if self._is_large_object else (start + 1, PIECE, value.place)
            [[data]] = self._run(piece, *where).fetchall()
            yield data

    def check_statement(self, statement: str) -> None:
        self._run(f"EXPLAIN {statement}", None)

    def change(self, statement: str, row_id: Any) -> int:
        return self._run(statement, row_id).rowcount

    def begin(self, writable: bool) -> str:
        return f"BEGIN ISOLATION LEVEL REPEATABLE READ, {'READ WRITE' if writable else 'READ ONLY'}"

    def execute(self, statement: str) -> None:
        self._run(statement)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _select(self, columns: str, condition: str = "") -> str:
        # All statements have parameters, even if there are none, so a % of the query is written twice.
        query = self.query.replace("%", "%%")
        return f"SELECT {columns} FROM (\n{query}\n) AS source {condition}"  # noqa: S608  # the administrator's own

    def _run(self, statement: str, *values: Any) -> psycopg.Cursor[Any]:
        assert self._connection is not None
        with self._errors():
            return self._connection.cursor(binary=True).execute(statement, values)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            text = str(error).strip().partition("\n")[0]
            lost = self._connection is not None and self._connection.closed
            raise (ConnectionLost if lost else TableError)(text) from error
