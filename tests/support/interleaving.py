"""Do something at the moment between two queries of what is tested, as another process might."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def before_reading(where: str, deed: Callable[[], object]) -> Iterator[None]:
    """Do it once, just before rows are read `FROM where`."""
    with _beside_query(where, deed, set(), is_first=True):
        yield


@contextmanager
def after_reading(where: str, deed: Callable[[], object], *values: object) -> Iterator[None]:
    """Do it once, as soon as rows have been read `FROM where`, by these values: they are out of date then."""
    with _beside_query(where, deed, {_plain(value) for value in values}, is_first=False):
        yield


@contextmanager
def _beside_query(where: str, deed: Callable[[], object], wanted: set[str], *, is_first: bool) -> Iterator[None]:
    waiting = [deed]

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        is_read = sql.startswith("SELECT") and f"FROM {where}" in sql
        is_time = bool(waiting) and is_read and wanted <= {_plain(param) for param in params or ()}
        if is_time and is_first:
            waiting.pop()()
        result = run(sql, params, many, context)
        if is_time and not is_first and waiting:
            waiting.pop()()
        return result

    with connection.execute_wrapper(execute):
        yield
    assert not waiting, f"nothing was read from {where}"


def _plain(value: object) -> str:
    return str(value).replace("-", "")  # SQLite has ids without
