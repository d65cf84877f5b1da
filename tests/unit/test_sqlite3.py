"""Connections to SQLite that are used again."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from config.backends.sqlite3.base import MAX_KEPT, DatabaseWrapper
from uploads.runtime.ballast_file import ballast

pytestmark = pytest.mark.django_db  # else pytest-django refuses any database


@pytest.fixture
def open_one(tmp_path: Path) -> Iterator["Opener"]:
    opener = Opener(tmp_path / "some.sqlite3")
    yield opener
    for wrapper in opener.opened:
        wrapper.close()


class Opener:
    def __init__(self, path: Path) -> None:
        self._settings = {
            **connection.settings_dict,
            "ENGINE": "config.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {},
        }
        self.opened: list[DatabaseWrapper] = []

    def __call__(self) -> DatabaseWrapper:
        self.opened.append(DatabaseWrapper(self._settings, "some"))
        self.opened[-1].ensure_connection()
        return self.opened[-1]


def test_one_that_was_let_go_is_used_again(open_one: Opener) -> None:
    first = open_one()
    kept = first.connection
    first.close()
    assert first.connection is None
    assert open_one().connection is kept
    assert open_one().connection is not kept  # it is in use


def test_one_in_a_transaction_or_that_failed_is_closed(open_one: Opener) -> None:
    begun, failed = open_one(), open_one()
    left = {begun.connection, failed.connection}
    with begun.cursor() as cursor:
        cursor.execute("BEGIN")
    with pytest.raises(OperationalError), failed.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")
    begun.close()
    failed.close()
    assert not {open_one().connection, open_one().connection} & left


def test_only_a_few_are_kept(open_one: Opener) -> None:
    wrappers = [open_one() for _ in range(MAX_KEPT + 2)]
    left = {wrapper.connection for wrapper in wrappers}
    for wrapper in wrappers:
        wrapper.close()
    assert len({open_one().connection for _ in range(MAX_KEPT + 2)} & left) == MAX_KEPT


def test_a_child_does_not_touch_its_parents(open_one: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_one()
    kept = first.connection
    first.close()
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert open_one().connection is not kept


def test_a_file_that_was_put_in_the_others_place_is_the_one_that_is_used(open_one: Opener, tmp_path: Path) -> None:
    first = open_one()
    with first.cursor() as cursor:
        cursor.execute("CREATE TABLE before (id INTEGER)")
    first.close()
    (tmp_path / "some.sqlite3").rename(tmp_path / "away.sqlite3")
    with open_one().cursor() as cursor:
        assert cursor.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_an_error_that_tells_of_a_full_disk_releases_half_of_the_ballast(
    open_one: Opener, settings: Any, tmp_path: Path
) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media", ballast=4096 * 8)
    ballast().keep(lambda: sys.maxsize)
    with open_one().cursor() as cursor:
        with pytest.raises(OperationalError, match="no such table"):
            cursor.execute("SELECT * FROM nowhere")
        assert ballast().held == 4096 * 8
        cursor.execute("PRAGMA max_page_count = 2")  # as full as a disk, to SQLite
        cursor.execute("CREATE TABLE some (id BLOB)")
        with pytest.raises(OperationalError, match="full"):
            cursor.execute("INSERT INTO some VALUES (zeroblob(100000))")
    assert ballast().held == 4096 * 4
