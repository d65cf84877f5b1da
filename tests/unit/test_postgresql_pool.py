"""The pool of connections to PostgreSQL."""

from typing import Any, ClassVar

import psycopg
import pytest
from psycopg_pool import ConnectionPool, PoolTimeout

from config.backends import postgresql_pool
from tests.support.waiting import wait_until


class Refused(psycopg.Connection[Any]):
    """Of a database that is away."""

    attempts: ClassVar[int] = 0

    @classmethod
    def connect(cls, *_: Any, **__: Any) -> Any:
        cls.attempts += 1
        raise psycopg.OperationalError("the database is away")


def test_a_pool_that_gave_up_connects_again_for_those_who_wait_already() -> None:
    options = postgresql_pool.options(2) | {"reconnect_timeout": 0.02, "timeout": 0.01}
    with ConnectionPool("", connection_class=Refused, open=True, **options) as pool:
        with pytest.raises(PoolTimeout):
            pool.getconn()
        before = Refused.attempts
        # Two connections are wanted, and each is given up after a few attempts.
        wait_until(lambda: Refused.attempts > before + 20)
