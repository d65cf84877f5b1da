"""The pool of connections to PostgreSQL, which must connect again soon after the database was away."""

from typing import Any


def options(most: int) -> dict[str, Any]:
    """For a process that uses this many connections at most."""
    # The pauses between attempts to connect double until `reconnect_timeout`: with the default of 5 minutes, Millrace
    # would reconnect long after the database is back. Then the pool gives up, until somebody asks for a connection.
    # Those who have asked already would wait in vain: a heartbeat for longer than its lease, for example.
    return {
        "min_size": 1, "max_size": most, "timeout": 30, "reconnect_timeout": 10, "reconnect_failed": _begin_again,
    }  # fmt: skip


def _begin_again(pool: Any) -> None:
    pool.check()  # connects anew if the pool is not full
