"""Connect to the database that a DSN names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from .base import Table, TableError
from .postgresql import PostgresTable
from .sqlite import SqliteTable

_SUPPORTED = (
    "Write the database as postgres://USER:PASSWORD@HOST/NAME or sqlite:////PATH. Other databases are not supported."
)


def connect(dsn: str, query: str, *, writable: bool) -> Table:
    """Connect, and check that the query returns what is needed. Raises TableError."""
    try:
        parts = urlsplit(dsn)
    except ValueError as error:
        raise TableError(_SUPPORTED) from error
    if parts.scheme in {"postgres", "postgresql"}:
        return PostgresTable(dsn, query)
    if parts.scheme == "sqlite" and not parts.netloc and parts.path:
        # sqlite:///relative and sqlite:////absolute, as in DATABASE_URL
        return SqliteTable(Path(unquote(parts.path[1:])), query, writable=writable)
    raise TableError(_SUPPORTED)
