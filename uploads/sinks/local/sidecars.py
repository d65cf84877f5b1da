"""The sidecars of a local store: `ROOT/meta/ab/NAME.json`, in 256 folders like the content."""

import contextlib
import os
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from ..base import NoSuchKey, Sidecars, sidecar_is_of
from . import filesystem_layout
from .filesystem_layout import sink_errors

_SUFFIX = ".json"


class LocalSidecars(Sidecars):
    def __init__(self, root: Path) -> None:
        self.folder = root / "meta"

    def write(self, name: str, content: bytes) -> None:
        target = self._path(name)
        half = target.with_name(f".{uuid.uuid4()}.half")
        with sink_errors():
            filesystem_layout.make_folder(self.folder)
            filesystem_layout.make_folder(target.parent)
            try:
                filesystem_layout.write_synced(half, content)
                half.rename(target)
            except OSError:
                half.unlink(missing_ok=True)
                raise
            filesystem_layout.sync_folder(target.parent)

    def read(self, name: str) -> bytes:
        with sink_errors():
            try:
                return self._path(name).read_bytes()
            except FileNotFoundError:
                raise NoSuchKey(name) from None

    def delete(self, name: str) -> None:
        with sink_errors():
            try:
                self._path(name).unlink()
            except FileNotFoundError:
                return
            filesystem_layout.sync_folder(self._path(name).parent)

    def of(self, keys: Collection[str]) -> set[str]:
        with sink_errors():
            folders = {key[:2] for key in keys}
            return {
                name for folder in folders for name in self._in(self.folder / folder) if sidecar_is_of(name, keys)
            }

    def names(self) -> Iterator[str]:
        with sink_errors():
            if self.folder.is_dir():
                for folder in self.folder.iterdir():
                    yield from self._in(folder)

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / (name + _SUFFIX)

    def _in(self, folder: Path) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = [entry.name for entry in os.scandir(folder) if entry.name.endswith(_SUFFIX)]
            return [name.removesuffix(_SUFFIX) for name in found]
        return []
