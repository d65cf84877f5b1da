import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from tqdm import tqdm

from uploads.conf import sink
from uploads.models import Blob
from uploads.storage.fsck import Finding, find_in_rows, find_in_sink, mend
from uploads.storage.marker import is_ours

HINT = "--repair mends all but lost bytes: those come back with their disk, or when the file is sent again."


class Command(BaseCommand):
    help = "Compare rows with bytes. Ends with 1 when something is wrong and was not mended."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--deep", action="store_true", help="read everything and hash it again")
        parser.add_argument(
            "--repair", action="store_true", help="mend what is found; nothing a file needs is removed"
        )
        parser.add_argument(
            "--grace", type=float, default=3600, metavar="SECONDS",
            help="leave alone what is younger: it may just be arriving (%(default)s)",
        )  # fmt: skip

    def handle(self, *args: Any, deep: bool, repair: bool, grace: float, **options: Any) -> None:
        place = sink()
        if not is_ours(place):
            raise CommandError("The sink's mark cannot be read. Is its disk mounted? Nothing was looked at.")
        left = 0
        for finding in self._find(deep, timedelta(seconds=grace)):
            mended = repair and mend(place, finding)
            left += not mended
            self.stdout.write(f"{finding}{' — mended' if mended else ''}")
        count = Blob.objects.count()
        if left:
            raise CommandError(f"{count} contents looked at; {left} things are wrong. {HINT}")
        self.stdout.write(self.style.SUCCESS(f"{count} contents looked at; all is well."))

    def _find(self, deep: bool, grace: timedelta) -> list[Finding]:
        total = Blob.objects.aggregate(total=Sum("size"))["total"] or 0
        unit = {"unit": "B", "unit_scale": True} if deep else {"unit": " contents"}
        with tqdm(
            total=total if deep else Blob.objects.count(),
            desc="fsck",
            disable=not sys.stderr.isatty(),
            **unit,
        ) as bar:
            found = list(
                find_in_rows(
                    sink(),
                    deep=deep,
                    grace=grace,
                    seen=lambda blob: bar.update(blob.size if deep else 1),
                )
            )
        return found + list(find_in_sink(sink(), grace=grace))
