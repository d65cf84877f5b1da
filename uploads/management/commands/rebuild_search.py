import sys
from typing import Any

from tqdm import tqdm

from ... import text_index
from ...models import MediaFile
from ..terminal_command import TerminalCommand


class Command(TerminalCommand):
    help = (
        "Make the index of the search anew, after damage or as a release asks for it. The service may run meanwhile, "
        "and finds less until the end."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with tqdm(total=MediaFile.objects.count(), unit=" files", disable=not sys.stderr.isatty()) as bar:
            text_index.rebuild(seen=bar.update)
        self.stdout.write("The index is complete.")
