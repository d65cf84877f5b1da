"""Tables of other databases with media in them, for tests of `ingest --from-table`."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

KINDS = ["bytea", "large objects", "sqlite", "sqlite, not a plain query"]


@dataclass
class SourceTable(ABC):
    dsn: str
    query = "SELECT id, title AS name, data AS content FROM clips"
    delete_query = "DELETE FROM clips WHERE id = %s"
    _create = ""

    @abstractmethod
    def run(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """Execute a statement with %s for values, and commit it. Returns its rows."""

    def create(self) -> None:
        self.run(self._create)

    def add(self, row_id: int | None, title: str | None, data: bytes | None) -> None:
        self.run("INSERT INTO clips VALUES (%s, %s, %s)", row_id, title, data)

    def replace(self, row_id: int, data: bytes) -> None:
        self.run("UPDATE clips SET data = %s WHERE id = %s", data, row_id)

    def ids(self) -> list[int]:
        return [row_id for (row_id,) in self.run("SELECT id FROM clips ORDER BY id")]


class PostgresTable(SourceTable):
    _create = "CREATE TABLE clips (id bigint, title text, data bytea)"

    def run(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


class LargeObjects(PostgresTable):
    _create = "CREATE TABLE clips (id bigint, title text, data oid)"

    def add(self, row_id: int | None, title: str | None, data: bytes | None) -> None:
        self.run("INSERT INTO clips VALUES (%s, %s, lo_from_bytea(0, %s))", row_id, title, data)

    def replace(self, row_id: int, data: bytes) -> None:
        self.run("UPDATE clips SET data = lo_from_bytea(0, %s) WHERE id = %s", data, row_id)


class SqliteTable(SourceTable):
    # The id is not the rowid: they must not be mistaken for each other.
    _create = "CREATE TABLE clips (id bigint, title text, data blob)"

    def run(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.dsn.removeprefix("sqlite:///"))) as connection, connection:
            return connection.execute(statement.replace("%s", "?"), values).fetchall()


class JoinedTable(SqliteTable):
    query = "SELECT a.id, a.title AS name, b.data AS content FROM clips a JOIN clips b ON a.rowid = b.rowid"


def make_table(kind: str, folder: Path, postgresql_url: str) -> SourceTable:
    """An empty table: in a new SQLite database in the folder, or in the place of an earlier one in PostgreSQL."""
    match kind:
        case "sqlite":
            made: SourceTable = SqliteTable(f"sqlite:///{folder / 'source.sqlite3'}")
        case "sqlite, not a plain query":
            made = JoinedTable(f"sqlite:///{folder / 'source.sqlite3'}")
        case _:
            made = PostgresTable(postgresql_url) if kind == "bytea" else LargeObjects(postgresql_url)
            made.run("DROP TABLE IF EXISTS clips")
    made.create()
    return made
