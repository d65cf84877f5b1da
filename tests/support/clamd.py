"""A real clamd of the tests, with a signature of our own and small limits."""

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.free_ports import free_port
from tests.support.processes import signalled
from tests.support.waiting import wait_until

# Not EICAR's: a scanner on the machine of a developer would take the sources away.
VIRUS = b"millrace-test-virus-5d1c0f8a7b3e"
SIGNATURE = "Millrace.Test.UNOFFICIAL"  # clamd adds the second half, as we have not signed the database
MIB = 1024**2
STREAM_LIMIT, SCAN_LIMIT = 4 * MIB, 2 * MIB
_SETTINGS = """
DatabaseDirectory {folder}
TemporaryDirectory {folder}
LocalSocket {folder}/clamd.sock
TCPSocket {port}
TCPAddr 127.0.0.1
Foreground yes
ExtendedDetectionInfo yes
StreamMaxLength {stream_limit}
MaxFileSize {scan_limit}
AlertExceedsMax yes
"""


@dataclass
class ClamdServer:
    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> str:
        return f"unix:{self.folder}/clamd.sock"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        if self.process is not None:
            return
        with (self.folder / "clamd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [_command(), "--config-file", str(self.folder / "clamd.conf")], stdout=log, stderr=log
            )
        wait_until(self._answers, 90, (self.folder / "clamd.log").read_text)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It is there, takes connections, and does nothing."""
        assert self.process is not None
        with signalled([self.process.pid], signal.SIGSTOP, signal.SIGCONT):
            yield

    def _answers(self) -> bool:
        """Both sockets: it opens one after the other."""
        with contextlib.suppress(OSError):
            for kind, place in ((socket.AF_INET, ("127.0.0.1", self.port)), (socket.AF_UNIX, self.socket[5:])):
                with socket.socket(kind) as connection:
                    connection.connect(place)
            return True
        return False


@contextmanager
def clamd_server(folder: Path) -> Iterator[ClamdServer]:
    made = ClamdServer(folder)
    (folder / "test.ndb").write_text(f"Millrace.Test:0:*:{VIRUS.hex()}\n")
    (folder / "clamd.conf").write_text(
        _SETTINGS.format(folder=folder, port=made.port, stream_limit=STREAM_LIMIT, scan_limit=SCAN_LIMIT)
    )
    try:
        made.start()
        yield made
    finally:
        made.kill()


def _command() -> str:
    found = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/usr/local/sbin")
    if not found:
        pytest.skip("clamd is not installed (Debian: clamav-daemon)")
    return found
