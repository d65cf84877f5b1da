"""Who on this machine may read the bytes of a local disk: we alone, or one group besides, such as nginx's.

Folders decide: what lies below ROOT is out of reach for whoever may not enter ROOT. So a start need not look at every
file, but where a group is let in for the first time. A file with a second name (`ingest --link`) keeps the mode that
its owner gave it.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ALONE, _ENTERED = 0o700, 0o710  # of ROOT: the group enters it, and lists nothing
_FOLDER, _FILE, _OWN_FILE = 0o750, 0o640, 0o600


@dataclass(frozen=True, slots=True)
class Access:
    group: int | None = None

    def let_in(self, fd: int) -> None:
        """To a file of ours that is about to become content."""
        if self.group is not None:
            os.fchown(fd, -1, self.group)
            os.fchmod(fd, _FILE)

    def let_in_folder(self, folder: Path) -> None:
        if self.group is not None:
            os.chown(folder, -1, self.group)
            folder.chmod(_FOLDER)

    def restrict(self, root: Path, folders: Iterable[Path]) -> None:
        """Close ROOT to everybody else; and, once for a group, open the folders of content to it."""
        if self.group is None:
            set_mode(root, _ALONE)
        elif not _has(root.stat(), _ENTERED, self.group):
            for folder in folders:
                self._let_in_all(folder)
            set_mode(root, _ENTERED, self.group)  # at last: a start that is cut off before does all of it again

    def take_over(self, path: Path) -> None:
        """Of a file that may have a second name. Then, or if it is another account's, its mode is not ours to set."""
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            set_mode(path, _OWN_FILE if self.group is None else _FILE, self.group)

    def _let_in_all(self, folder: Path) -> None:
        self.let_in_folder(folder)
        for entry in os.scandir(folder):
            self.take_over(Path(entry.path))


def set_mode(path: Path, mode: int, group: int | None = None) -> None:
    """Unless it is so already: whose it is not may not even set what is set."""
    found = path.stat()
    if group is not None and found.st_gid != group:
        os.chown(path, -1, group)
    if not _has(found, mode, group):
        path.chmod(mode)


def _has(found: os.stat_result, mode: int, group: int | None) -> bool:
    return stat.S_IMODE(found.st_mode) == mode and group in {None, found.st_gid}
