"""Services outside Millrace that all servers of a test run use, in place of what Millrace brings along.

With TESTS_STORE=s3 the files of each home are in an S3 bucket of its own. With TESTS_REDIS=1 messages and cache of
each home are in a database of its own in Redis. PostgreSQL is chosen by DATABASE_URL.
"""

import contextlib
import hashlib
import os
import sqlite3
import uuid
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

from tests.support.object_store import ObjectStore
from tests.support.stored_objects import StoredObject, objects, open_uploads

STORE, REDIS = "TESTS_STORE", "TESTS_REDIS"
REDIS_DATABASES = 8192
_PREFIX = "media"
# Set by tests/conftest.py, once they run.
store: ObjectStore | None = None
redis_port: int | None = None
_numbers = count(1)


def is_on_s3() -> bool:
    return os.environ.get(STORE, "") == "s3"


def is_on_redis() -> bool:
    return bool(os.environ.get(REDIS))


def variables(home: Path) -> dict[str, str]:
    """The environment variables of a home that uses these services."""
    found: dict[str, str] = {}
    if store is not None:
        found |= {"MILLRACE_STORAGE": storage_of(home), **store.environment}
    if redis_port is not None:
        url = f"redis://127.0.0.1:{redis_port}/{_redis_database(home)}"
        found |= {"BROKER_URL": url, "CACHE_URL": url}
    return found


def storage_of(home: Path) -> str:
    """The S3 store of this home, as MILLRACE_STORAGE names it."""
    return f"s3://{bucket_of(home)}/{_PREFIX}"


@cache
def bucket_of(home: Path) -> str:
    """The bucket of this home. It is made at the first call."""
    assert store is not None
    return store.make_bucket(f"home-{hashlib.sha256(str(home).encode()).hexdigest()[:32]}")


@cache
def _redis_database(home: Path) -> int:
    """Each process of the test run has a range of numbers."""
    worker = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
    return (worker * 512 + next(_numbers)) % REDIS_DATABASES


def mark_store(home: Path, database_url: str) -> None:
    """Make the bucket of a copied home its store, as a start would: a process that does it takes a second."""
    if store is None:
        return
    identity, name = uuid.uuid4(), storage_of(home)
    store.client().put_object(Bucket=bucket_of(home), Key=f"{_PREFIX}/millrace-store", Body=f"{identity}\n".encode())
    rows = "INSERT INTO uploads_sinkmark (sink, identity, warning) VALUES"
    if database_url:
        with psycopg.connect(database_url) as connection:
            connection.execute("DELETE FROM uploads_sinkmark")
            connection.execute(f"{rows} (%s, %s, '')", [name, identity])  # a constant
        return
    [database] = home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(database)) as lite, lite:
        lite.execute("DELETE FROM uploads_sinkmark")
        lite.execute(f"{rows} (?, ?, '')", [name, identity.hex])


def content_of(home: Path) -> list[StoredObject]:
    """Whole content, and what there is of open writes."""
    assert store is not None
    return [*objects(store, bucket_of(home), f"{_PREFIX}/content/"), *partial_content_of(home)]


def partial_content_of(home: Path) -> list[StoredObject]:
    """What there is of open writes: tails, and multipart uploads."""
    assert store is not None
    bucket = bucket_of(home)
    return [*objects(store, bucket, f"{_PREFIX}/partial/"), *open_uploads(store, bucket, f"{_PREFIX}/")]


def quarantined_in(home: Path) -> list[StoredObject]:
    assert store is not None
    return objects(store, bucket_of(home), f"{_PREFIX}/quarantine/")


def object_at(home: Path, place: str) -> StoredObject:
    assert store is not None
    return StoredObject(f"{_PREFIX}/{place}", "", bucket_of(home), store.client())


def drop_store(home: Path) -> None:
    """Delete the bucket of a home, which frees its disk space."""
    if store is not None:
        store.drop_bucket(bucket_of(home))
