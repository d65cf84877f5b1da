import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from uploads.errors import Refusal
from uploads.ingesting import Mode, find_files, ingest


class Command(BaseCommand):
    help = "Take in files and folders that are on this server. Run it again after a break: what is in is skipped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--owner", required=True, help="the account that will own the files")
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument(
            "--move",
            action="store_const",
            dest="mode",
            const=Mode.MOVE,
            help="remove each original once it is stored",
        )
        modes.add_argument(
            "--link",
            action="store_const",
            dest="mode",
            const=Mode.LINK,
            help="share the original's bytes by a hard link: do not change it afterwards",
        )
        parser.set_defaults(mode=Mode.COPY)

    def handle(self, *args: Any, paths: list[Path], owner: str, mode: Mode, **options: Any) -> None:
        account = get_user_model().objects.filter(username=owner).first()
        if account is None:
            raise CommandError(f"There is no account “{owner}”.")
        if missing := [str(path) for path in paths if not path.exists()]:
            raise CommandError(f"There is no {', '.join(missing)}.")
        files = list(find_files(paths))
        taken = skipped = refused = 0
        with tqdm(
            total=sum(path.stat().st_size for path in files), desc="ingest", unit="B", unit_scale=True,
            disable=not sys.stderr.isatty(),
        ) as bar:  # fmt: skip
            for path in files:
                try:
                    _, before = ingest(path, account, mode, bar.update)
                except (Refusal, OSError) as error:
                    refused += 1
                    self.stderr.write(f"{path}: {error}")
                    continue
                taken, skipped = taken + (not before), skipped + before
        self.stdout.write(f"{taken} taken in, {skipped} were in already, {refused} refused.")
        if refused:
            raise CommandError("Some files were refused: the reasons are above.")
