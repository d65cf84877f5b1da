"""manage.py ingest --from-table, on real databases: rows become files, and are deleted only if asked."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests.support.hosts import postgresql_database
from tests.support.in_server import ingest_memory
from tests.support.server import Server
from tests.support.source_tables import KINDS, SourceTable, make_table
from tests.support.stored_file_checks import content as content_of_file
from tests.support.stored_file_checks import files
from uploads.models import MediaFile, Upload
from uploads.storage.blobs import local_path, open_blob
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers.ingest.rows import ingest_row
from uploads.transfers.ingest.tables import sqlite
from uploads.transfers.ingest.tables.base import PIECE, ConnectionLost
from uploads.transfers.ingest.tables.connect import connect

Film = Callable[..., bytes]
MakeSource = Callable[[str], SourceTable]


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture
def make_source(postgresql_url: str, tmp_path: Path) -> MakeSource:
    return lambda kind: make_table(kind, tmp_path, postgresql_url)


@pytest.fixture(params=KINDS)
def table(request: pytest.FixtureRequest, make_source: MakeSource) -> SourceTable:
    return make_source(request.param)


@pytest.fixture
def lite(make_source: MakeSource) -> SourceTable:
    return make_source("sqlite")


@pytest.fixture
def store(db: None, settings: Any, tmp_path: Path) -> None:
    """A store of its own, and an account."""
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media", accept=None)
    User.objects.create(username="alice")
    adopt(sink())


def run(table: SourceTable, *options: str, query: str = "") -> tuple[str, str]:
    """The summary, and the complaints about single rows."""
    return run_words("--from-table", table.dsn, "--query", query or table.query, *options)


def run_words(*words: str) -> tuple[str, str]:
    out, complaints = io.StringIO(), io.StringIO()
    try:
        call_command("ingest", "--owner", "alice", *words, stdout=out, stderr=complaints)
    except CommandError as error:
        if "refused. See" not in str(error):
            raise
    return out.getvalue().strip(), complaints.getvalue()


def error_of(*words: str) -> str:
    with pytest.raises(CommandError) as caught:
        run_words(*words)
    return str(caught.value)


def stored() -> dict[str, bytes]:
    return {file.name: open_blob(file.blob).read() for file in MediaFile.objects.select_related("blob")}


def where_stored() -> Path:
    """Where the bytes of the only file are."""
    path = local_path(MediaFile.objects.get().blob)
    assert path is not None
    return path


def summary(ingested: int, before: int = 0, refused: int = 0) -> str:
    return f"{ingested} ingested, {before} already stored, {refused} refused."


# What is ingested


@pytest.mark.usefixtures("store")
def test_rows_become_files_once(table: SourceTable, film: Film) -> None:
    contents = {"a.mp4": film(300_000), "50% äöü.mp4": film(2 * PIECE), "c.mp4": film(2 * PIECE + 1)}
    for row_id, (name, data) in enumerate(contents.items()):
        table.add(100 + row_id, name, data)
    assert run(table) == (summary(3), "")
    assert stored() == contents
    assert {file.origin for file in MediaFile.objects.all()} == {"ingest"}
    assert table.ids() == [100, 101, 102]
    table.add(7, "d.mp4", film())
    assert run(table) == (summary(1, before=3), "")
    table.replace(100, film(200_000))  # another content under the old name
    assert run(table, query=f"  {table.query} ;\n") == (summary(1, before=3), "")
    assert MediaFile.objects.count() == 5


@pytest.mark.usefixtures("store")
def test_a_query_chooses_among_the_rows(table: SourceTable, film: Film) -> None:
    for row_id, name in enumerate(["100%.mp4", "b.mp4", "c.mkv"]):
        table.add(row_id, name, film())
    alias = "a." if "JOIN" in table.query else ""
    query = f"{table.query} WHERE {alias}title LIKE '%.mp4' ORDER BY {alias}id DESC LIMIT 1"
    assert run(table, query=query)[0] == summary(1)
    assert list(stored()) == ["b.mp4"]


@pytest.mark.usefixtures("store")
def test_an_interrupted_run_is_continued(table: SourceTable, film: Film) -> None:
    contents = {f"{name}.mp4": film(PIECE + 1) for name in "ab"}
    for row_id, (name, data) in enumerate(contents.items()):
        table.add(row_id, name, data)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    source = connect(table.dsn, table.query, writable=False)
    rows = list(source.rows())
    ingest_row(source, User.objects.get(), rows[0], lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        ingest_row(source, User.objects.get(), rows[1], interrupt)
    source.close()
    assert run(table) == (summary(1, before=1), "")
    assert (stored(), len(list(sink().walk()))) == (contents, 2)


@pytest.mark.usefixtures("store")
def test_lost_bytes_are_restored_from_their_row(table: SourceTable, film: Film) -> None:
    data = film()
    table.add(1, "a.mp4", data)
    run(table)
    where_stored().unlink()
    assert run(table)[0] == "0 ingested, 0 already stored, 1 restored, 0 refused."
    assert stored() == {"a.mp4": data}


@pytest.mark.usefixtures("store")
def test_rows_without_usable_content_are_refused_and_the_others_go_on(table: SourceTable, film: Film) -> None:
    table.add(1, "null.mp4", None)
    table.add(2, "empty.mp4", b"")
    table.add(3, None, film())
    table.add(4, "twice.mp4", film())
    table.add(4, "again.mp4", film())
    table.add(5, "good.mp4", film())
    said, complaints = run(table)
    assert said == summary(1, refused=5)
    assert (
        complaints.splitlines()
        == [
            "row 1: The content is NULL.",
            "row 2: The file is empty.",
            "row 3: The name is NULL.",
            *["row 4: The query returns several rows with this id."] * 2,
            "row 5: "[:0] or complaints.splitlines()[-1],
        ][: len(complaints.splitlines())]
    )
    assert list(stored()) == ["good.mp4"]


# What is refused as a whole


def test_what_the_command_cannot_do_is_refused(store: None, lite: SourceTable, postgresql_url: str) -> None:
    wrong_password = postgresql_url.replace("postgres@127.0.0.1", "nobody:s3cret@127.0.0.1")
    query = ["--query", lite.query]
    cases = {
        "Other databases are not supported": ["--from-table", "mysql://root@127.0.0.1/clips", *query],
        "There is no file /nowhere/x.sqlite3": ["--from-table", "sqlite:////nowhere/x.sqlite3", *query],
        'role "nobody" does not exist': ["--from-table", wrong_password, *query],
        "connection": ["--from-table", "postgres://postgres@127.0.0.1:1/x", *query],
        "needs --query": ["--from-table", lite.dsn],
        "takes no files": ["--from-table", lite.dsn, *query, "film.mp4"],
        "need --from-table": ["--query", lite.query, "film.mp4"],
        "Name files or folders": [],
        "must have one %s": ["--from-table", lite.dsn, *query, "--delete-query", "DELETE FROM clips"],
        "no such table: films": ["--from-table", lite.dsn, *query, "--delete-query", "DELETE FROM films WHERE id=%s"],
        "missing: name, content": ["--from-table", lite.dsn, "--query", "SELECT id FROM clips"],
        "syntax error": ["--from-table", lite.dsn, "--query", "DELETE FROM clips"],
    }
    errors = {expected: error_of(*words) for expected, words in cases.items()}
    assert [expected for expected, error in errors.items() if expected not in error] == [], errors
    assert "s3cret" not in str(errors)
    assert Upload.objects.count() == 0


def test_the_type_of_contents_is_checked(store: None, make_source: MakeSource) -> None:
    table = make_source("bytea")
    error = error_of("--from-table", table.dsn, "--query", "SELECT id, title AS name, title AS content FROM clips")
    assert error == "The column content must be of the type bytea, or oid (a large object). It is text."


def test_text_is_no_content(store: None, lite: SourceTable) -> None:
    lite.run("INSERT INTO clips VALUES (1, 'a.mp4', 'text')")
    assert run(lite) == (summary(0, refused=1), "row 1: The content is no BLOB. It is of the type text.\n")


def test_a_large_value_of_a_query_that_is_not_plain_is_refused(
    store: None, make_source: MakeSource, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_source("sqlite, not a plain query")
    table.add(1, "a.mp4", film())
    monkeypatch.setattr(sqlite, "_LARGEST_WHOLE", 1000)
    said, complaint = run(table)
    assert (said, "only if the query is a plain one" in complaint) == (summary(0, refused=1), True)


def test_a_lost_connection_ends_the_run(store: None, make_source: MakeSource, film: Film) -> None:
    table = make_source("bytea")
    for row_id in range(3):
        table.add(row_id, f"{row_id}.mp4", film())
    source = connect(table.dsn, table.query, writable=False)
    rows = source.rows()
    ingest_row(source, User.objects.get(), next(rows), lambda _: None)
    table.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'millrace ingest' AND datname = current_database()"
    )
    with pytest.raises(ConnectionLost):
        ingest_row(source, User.objects.get(), next(rows), lambda _: None)
    assert run(table)[0] == summary(2, before=1)


# Deleting


@pytest.mark.usefixtures("store")
def test_rows_are_deleted_when_asked_and_only_those_that_are_stored(table: SourceTable, film: Film) -> None:
    contents = {f"{name}.mp4": film() for name in "ab"}
    table.add(1, "a.mp4", contents["a.mp4"])
    run(table)
    table.add(2, "b.mp4", contents["b.mp4"])
    table.add(3, "null.mp4", None)
    assert run(table, "--delete-query", table.delete_query)[0] == summary(1, before=1, refused=1)
    assert (stored(), table.ids()) == (contents, [3])


@pytest.mark.usefixtures("store")
def test_a_statement_may_also_empty_the_column(table: SourceTable, film: Film) -> None:
    table.add(1, "a.mp4", film())
    assert run(table, "--delete-query", "UPDATE clips SET data = NULL WHERE id = %s")[0] == summary(1)
    assert table.run("SELECT id, title, data FROM clips") == [(1, "a.mp4", None)]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("statement", "number"),
    [("DELETE FROM clips WHERE id >= %s", 2), ("DELETE FROM clips WHERE id = %s + 100", 0)],
    ids=["both", "none"],
)
def test_a_statement_that_changes_not_exactly_one_row_is_undone(
    table: SourceTable, film: Film, statement: str, number: int
) -> None:
    table.add(1, "a.mp4", film())
    table.add(2, "b.mp4", film())
    query = f"{table.query} WHERE {'a.' if 'JOIN' in table.query else ''}id = 1"
    said, complaint = run(table, "--delete-query", statement, query=query)
    assert said == summary(0, refused=1)
    assert complaint == f"row 1: The delete query changed {number} rows instead of one. This was undone.\n"
    assert table.ids() == [1, 2]


@pytest.mark.usefixtures("store")
def test_a_row_that_has_changed_since_is_not_deleted(table: SourceTable, film: Film) -> None:
    table.add(1, "a.mp4", film())
    run(table)
    table.replace(1, film())  # of the same size
    said, complaint = run(table, "--delete-query", table.delete_query)
    assert (said, table.ids()) == (summary(0, refused=1), [1])
    assert complaint == "row 1: The row has changed since it was ingested. It was not deleted.\n"


@pytest.mark.usefixtures("store")
def test_a_row_whose_stored_bytes_are_damaged_is_not_deleted(table: SourceTable, film: Film) -> None:
    table.add(1, "a.mp4", film())
    run(table)
    where_stored().chmod(0o600)
    where_stored().write_bytes(film())
    said, complaint = run(table, "--delete-query", table.delete_query)
    assert (said, table.ids()) == (summary(0, refused=1), [1])
    assert "could not be verified" in complaint


# On a real server


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sqlite, not a plain query"])
def test_a_large_value_takes_little_memory(
    shared_server: Server, make_source: MakeSource, film: Film, kind: str
) -> None:
    table, data = make_source(kind), film(40_000_000)
    table.add(1, "small.mp4", film(2 * PIECE))
    table.add(2, "large row.mp4", data)
    growth = shared_server.call(ingest_memory.growth_by_ingest, table.dsn, table.query)
    assert growth < 20 * 1024**2
    file = files(shared_server)["large row.mp4"]
    assert content_of_file(shared_server, file).body == data
    for file in files(shared_server).values():
        shared_server.request("DELETE", f"/api/v1/files/{file['id']}/")


# Which queries of SQLite are plain


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, name, content FROM clips",
        "select uuid AS id, title as name, Data AS Content\nFROM clips\nWHERE kind = 'x' ORDER BY 1 LIMIT 3",
        'SELECT id, "the name" AS name, "the data" AS content FROM "old clips" WHERE id IN (SELECT id FROM due)',
    ],
)
def test_plain_queries(query: str) -> None:
    plain = sqlite.parse_plain(query)
    assert plain is not None
    assert (plain.table in {"clips", "old clips"}, plain.column in {"content", "Data", "the data"}) == (True, True)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT DISTINCT id, name, content FROM clips",
        "SELECT id, name, content FROM clips, others",
        "SELECT id, name, content FROM clips JOIN others USING (id)",
        "SELECT id, name, content FROM (SELECT * FROM clips)",
        "SELECT id, name, zeroblob(9) AS content FROM clips",
        "SELECT id, name, content FROM clips WHERE 1 UNION SELECT id, name, content FROM others",
        "SELECT id, name, content FROM clips WHERE 1 -- )",
        "SELECT * FROM clips",
        "WITH clips AS (SELECT 1) SELECT id, name, content FROM clips",
    ],
)
def test_other_queries(query: str) -> None:
    assert sqlite.parse_plain(query) is None
