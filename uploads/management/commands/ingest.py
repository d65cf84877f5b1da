import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from tqdm import tqdm

from uploads.errors import Refusal
from uploads.management.terminal_command import TerminalCommand
from uploads.transfers.ingest.files import Mode, ingest_file
from uploads.transfers.ingest.server_files import find_files
from uploads.transfers.ingest.storing import Outcome


class Command(TerminalCommand):
    help = "Ingest files and folders on this server. If interrupted, run it again: ingested files are skipped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
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

    def handle(self, *args: Any, paths: list[Path], owner: str, mode: Mode, **options: Any) -> None:
        account = get_user_model().objects.filter(username=owner).first()
        if account is None:
            raise CommandError(f"There is no account “{owner}”.")
        if missing := [str(path) for path in paths if _is_missing(path)]:
            raise CommandError(f"There is no file or folder {', '.join(missing)}.")
        files = list(find_files(paths, self._leave_out))
        outcomes: Counter[Outcome] = Counter()
        refused = 0
        with tqdm(
            total=sum(map(_size_of, files)), desc="ingest", unit="B", unit_scale=True,
            disable=not sys.stderr.isatty(),
        ) as bar:  # fmt: skip
            for path in files:
                try:
                    outcomes[ingest_file(path, account, mode, bar.update)[1]] += 1
                except (Refusal, OSError) as error:
                    refused += 1
                    self.stderr.write(f"{path}: {getattr(error, 'strerror', None) or error}")
        self.stdout.write(_summary(outcomes, refused))
        if refused:
            raise CommandError("Some files were refused. See the reasons above.")

    def _leave_out(self, path: Path) -> None:
        self.stderr.write(f"{path}: skipped, because it belongs to Millrace itself.")


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
