"""The quarantine of a local store: `ROOT/quarantine/DATE.REASON.KEY`. Bytes are moved into it by one rename."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..base import NoSuchKey, Quarantine, Quarantined, SinkError
from . import filesystem_layout
from .filesystem_layout import Layout, sink_errors


class LocalQuarantine(Quarantine):
    def __init__(self, layout: Layout) -> None:
        self.folder, self._layout = layout.root / "quarantine", layout

    def put(self, key: str, reason: str) -> None:
        with sink_errors():
            filesystem_layout.make_folder(self.folder)
            for partial in (False, True):
                self._put(key, reason, partial)
            filesystem_layout.sync_folder(self.folder)

    def _put(self, key: str, reason: str, partial: bool) -> None:
        source = self._place(key, partial)
        try:
            size = source.stat().st_size
            source.rename(self.folder / Quarantined(key, size, reason, datetime.now(UTC), partial).name)
        except FileNotFoundError:
            return
        self._layout.checkpoint(key).unlink(missing_ok=True)
        filesystem_layout.sync_folder(source.parent)

    def entries(self) -> Iterator[Quarantined]:
        with sink_errors():
            if not self.folder.is_dir():
                return
            for entry in os.scandir(self.folder):
                if found := Quarantined.parse(entry.name, entry.stat(follow_symlinks=False).st_size):
                    yield found

    def take_back(self, found: Quarantined) -> None:
        source, target = self.folder / found.name, self._place(found.key, found.partial)
        with sink_errors():
            filesystem_layout.make_folder(target.parent) if found.partial else self._layout.make_folder_of(found.key)
            try:
                os.link(source, target)  # unlike a rename, a link never replaces a file
            except FileExistsError:
                raise SinkError(f"The key {found.key} is in use.") from None
            except FileNotFoundError:
                raise NoSuchKey(found.key) from None
            filesystem_layout.sync_folder(target.parent)
            source.unlink()
            filesystem_layout.sync_folder(self.folder)

    def purge(self, found: Quarantined) -> None:
        with sink_errors():
            (self.folder / found.name).unlink(missing_ok=True)

    def _place(self, key: str, partial: bool) -> Path:
        return self._layout.partial(key) if partial else self._layout.path(key)
