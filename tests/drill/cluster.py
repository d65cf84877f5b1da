"""A PostgreSQL of the drill's own: it can be stopped and started without anybody else's work being cut off."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.free_ports import free_port

# What pg_ctl calls them: telling everybody goodbye, or as if the power had failed.
MODES = ("fast", "immediate")


@dataclass(frozen=True)
class Cluster:
    binaries: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._control("start", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str) -> None:
        self._control("stop", "-m", mode)

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder), "-w", *words)

    def initialise(self) -> None:
        self._run("initdb", "-D", str(self.folder), "-A", "trust", "-U", "postgres")

    def _run(self, program: str, *words: str) -> None:
        command = [*_AS_POSTGRES, str(self.binaries / program), *words]
        # It may not look into the folder that we are in. (And what it starts would hold a pipe open for ever.)
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL)


# PostgreSQL refuses to be run by root.
_AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []


@contextmanager
def own_cluster() -> Iterator[Cluster | None]:
    """Running, and gone with everything in it at the end. None, where there is no PostgreSQL to be started."""
    binaries = _binaries()
    if binaries is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    cluster = Cluster(binaries, folder, free_port())
    try:
        if _AS_POSTGRES:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        cluster.initialise()
        cluster.start()
        yield cluster
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # it was stopped already
            cluster.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    """Where initdb is: on the path, or where Debian hides it, the newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(debian, key=lambda path: int(path.parent.name), default=None)
