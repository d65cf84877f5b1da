from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from uploads.errors import NoDirectUploads
from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import SinkError
from uploads.storage.page_origins import page_origins
from uploads.storage.stores import direct_sink


class Command(TerminalCommand):
    help = (
        "Let pages in browsers send direct uploads to the bucket: sets its CORS rule for them, keeps other rules. "
        "Without arguments, for the sites of MILLRACE_PUBLIC_URL and MILLRACE_CORS_ORIGINS."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("origins", nargs="*", help="such as https://media.example.com, or *")

    def handle(self, *args: Any, origins: list[str], **options: Any) -> None:
        found = origins or page_origins()
        if not found:
            raise CommandError("Set MILLRACE_PUBLIC_URL, or name the sites: bucket_cors https://media.example.com")
        try:
            direct_sink().direct.allow_origins(found)
        except NoDirectUploads as error:
            raise CommandError(
                "Set MILLRACE_STORAGE to s3://BUCKET/PREFIX and MILLRACE_DIRECT_UPLOADS=on."
            ) from error
        except SinkError as error:
            raise CommandError(f"{error} The credentials need the permission s3:PutBucketCORS.") from error
        self.stdout.write(f"Pages of these sites may send to the bucket: {', '.join(found)}", self.style.SUCCESS)
