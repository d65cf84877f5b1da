"""kombu's transport \"filesystem\", changed so that a message appears only when it is completely written.

It overrides private methods of kombu: tests/unit/test_private_parts.py fails when those have changed.
"""

import os
import threading
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _queue_bind(self, exchange: str, *words: Any) -> None:
        # Fixes kombu: writing this file on a full disk leaves an empty file, which then cannot be read.
        table: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]  # missing in the type stubs
        if table.exists() and not table.stat().st_size:
            table.unlink(missing_ok=True)
        super()._queue_bind(exchange, *words)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu's own
        # Fixes kombu: a worker that read a message before its content was written failed on the empty file.
        folder = Path(self.data_folder_out)
        # If the process is killed here, the next message with this name overwrites the file.
        unfinished = folder / f".{os.getpid()}.{threading.get_ident()}.unfinished"
        try:
            unfinished.write_text(dumps(message))
            unfinished.rename(folder / f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg")
        except OSError as error:
            raise ChannelError(f"Writing a message to {folder} failed.") from error


class Transport(filesystem.Transport):
    Channel = Channel


TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
