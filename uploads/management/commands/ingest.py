import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from tqdm import tqdm

from uploads.errors import Refusal
from uploads.management.terminal_command import TerminalCommand
from uploads.models import MediaFile
from uploads.transfers.admission import Presets, find_presets
from uploads.transfers.ingest.files import Mode, ingest_file
from uploads.transfers.ingest.rows import ingest_row
from uploads.transfers.ingest.server_files import find_files
from uploads.transfers.ingest.storing import Outcome
from uploads.transfers.ingest.tables.base import ConnectionLost, TableError
from uploads.transfers.ingest.tables.connect import connect

# Ingests one thing, and calls the function with the size of each piece.
Ingest = Callable[[Callable[[int], object]], tuple[MediaFile, Outcome]]
_MARK = "%s"  # of the id in a delete query


class Command(TerminalCommand):
    help = (
        "Ingest files and folders on this server, or rows of another database. If interrupted, run it again: what is "
        "stored already is skipped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
        parser.add_argument("--owner", required=True, help="username of the account that will own the files")
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument(
            "--move",
            action="store_const",
            dest="mode",
            const=Mode.MOVE,
            help="remove each original after it is stored",
        )
        modes.add_argument(
            "--link",
            action="store_const",
            dest="mode",
            const=Mode.LINK,
            help="hard-link instead of copying: do not change the originals afterwards",
        )
        parser.set_defaults(mode=Mode.COPY)
        parser.add_argument(
            "--preset", action="append", dest="presets", metavar="NAME",
            help="run this preset on each new file, instead of what the account has chosen for its uploads; may be "
            "repeated; --preset '' runs none",
        )  # fmt: skip
        rows = parser.add_argument_group("rows of another database")
        rows.add_argument("--from-table", metavar="DSN", help="postgres://USER@HOST/NAME or sqlite:////PATH")
        rows.add_argument("--query", help="SELECT with the columns id, name and content")
        rows.add_argument(
            "--delete-query", default="", metavar="QUERY",
            help=f"run for each row after its file was verified; {_MARK} stands for the id",
        )  # fmt: skip

    def handle(
        self, *args: Any, owner: str, from_table: str | None, presets: list[str] | None, **options: Any
    ) -> None:
        account = get_user_model().objects.filter(username=owner).first()
        if account is None:
            raise CommandError(f"There is no account “{owner}”.")
        chosen = _checked(account, presets)
        if from_table is None:
            self._ingest_files(account, presets=chosen, **options)
        else:
            self._ingest_rows(account, from_table, presets=chosen, **options)

    def _ingest_files(
        self,
        owner: User,
        *,
        paths: list[Path],
        mode: Mode,
        query: str | None,
        delete_query: str,
        presets: Presets,
        **_: Any,
    ) -> None:
        if query or delete_query:
            raise CommandError("--query and --delete-query need --from-table.")
        if not paths:
            raise CommandError("Name files or folders, or a database with --from-table.")
        if missing := [str(path) for path in paths if _is_missing(path)]:
            raise CommandError(f"There is no file or folder {', '.join(missing)}.")
        files = list(find_files(paths, self._leave_out))
        things = ((str(path), partial(ingest_file, path, owner, mode, presets=presets)) for path in files)
        self._ingest(things, sum(map(_size_of, files)))

    def _ingest_rows(
        self,
        owner: User,
        dsn: str,
        *,
        paths: list[Path],
        mode: Mode,
        query: str | None,
        delete_query: str,
        presets: Presets,
        **_: Any,
    ) -> None:
        if paths or mode is not Mode.COPY:
            raise CommandError("--from-table takes no files, no --move and no --link.")
        if not query:
            raise CommandError("--from-table needs --query: a SELECT with the columns id, name and content.")
        if delete_query and delete_query.count(_MARK) != 1:
            raise CommandError(f"The delete query must have one {_MARK}, in the place of the id.")
        try:
            with closing(connect(dsn, query, writable=bool(delete_query))) as table:
                if delete_query:
                    table.check_statement(delete_query)
                one = partial(ingest_row, table, owner, delete_by=delete_query, presets=presets)
                self._ingest(((f"row {row.id}", partial(one, row)) for row in table.rows()), table.total())
        except ConnectionLost as error:
            raise CommandError(f"{error} Run the command again: rows that were ingested are skipped.") from error
        except TableError as error:
            raise CommandError(str(error)) from error

    def _ingest(self, things: Iterable[tuple[str, Ingest]], total: int | None) -> None:
        """Ingest each thing. What is refused is printed with its label, and the others go on."""
        outcomes: Counter[Outcome] = Counter()
        refused = 0
        with tqdm(
            total=total, desc="ingest", unit="B", unit_scale=True, disable=not sys.stderr.isatty()
        ) as bar:  # fmt: skip
            for label, ingest in things:
                try:
                    outcomes[ingest(bar.update)[1]] += 1
                except ConnectionLost:
                    raise
                except (Refusal, OSError, TableError) as error:
                    refused += 1
                    self.stderr.write(f"{label}: {getattr(error, 'strerror', None) or error}")
        self.stdout.write(_summary(outcomes, refused))
        if refused:
            raise CommandError(f"{refused} were refused. See the reasons above.")

    def _leave_out(self, path: Path) -> None:
        self.stderr.write(f"{path}: skipped, because it belongs to Millrace itself.")


def _checked(owner: User, names: list[str] | None) -> Presets:
    """The presets to run. An unknown one is refused before any file is read."""
    chosen = None if names is None else [name for name in names if name.strip()]
    try:
        find_presets(owner, chosen)
    except Refusal as refusal:
        raise CommandError(refusal.detail) from refusal
    return chosen


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:
        return False  # not readable: reported when the file is opened


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _summary(outcomes: Counter[Outcome], refused: int) -> str:
    restored = f"{outcomes[Outcome.RESTORED]} restored, " if outcomes[Outcome.RESTORED] else ""
    before = outcomes[Outcome.SKIPPED]
    return f"{outcomes[Outcome.INGESTED]} ingested, {before} already stored, {restored}{refused} refused."
