"""A command in a folder that is the root of its file system, as a container engine would start it.

It has mount and process namespaces of its own, which end with it, and the network of this machine. Unlike `chroot`,
`pivot_root` leaves it the right to make user namespaces, which ffmpeg's sandbox needs.
"""

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import children

# With the new root as $1. The rest is the command.
_ENTER = """
set -e
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
touch etc/resolv.conf
mount --bind /etc/resolv.conf etc/resolv.conf
if [ -n "$CERTIFICATES" ]; then touch run/certificates; mount --bind "$CERTIFICATES" run/certificates; fi
if [ -n "$VOLUME" ]; then
    mount --bind ".$VOLUME" ".$VOLUME"
    mount -t tmpfs -o noexec,nosuid,nodev tmpfs tmp
fi
pivot_root . mnt
umount -l /mnt
if [ -n "$VOLUME" ]; then mount -o remount,bind,ro /; fi
cd "$2"
shift 2
unset CERTIFICATES VOLUME
exec "$@"
"""
# The programs that install packages may need what this machine trusts, which is not part of the image.
_TRUST = ("PIP_CERT", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "npm_config_cafile")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Container:
    root: Path
    folder: str = "/"  # WORKDIR
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)  # of the build: what it starts does not have them
    user: str = ""  # USER; root if empty
    volume: str = ""  # if given, all else is read-only, but for /tmp

    def command(self, words: list[str]) -> list[str]:
        if self.user:
            account = ["--reuid", self.user, "--regid", self.user, "--clear-groups"]
            words = ["setpriv", *account, "--no-new-privs", "--bounding-set=-all", "--", *words]
        alone = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
        return [*alone, "sh", "-c", _ENTER, "sh", str(self.root), self.folder, *words]

    def environment(self, *, installs: bool = False) -> dict[str, str]:
        found = {"PATH": _PATH, "HOME": "/", **self.variables, **(self.arguments if installs else {})}
        certificates = os.environ.get("SSL_CERT_FILE", "")
        if installs and certificates:
            found |= dict.fromkeys(_TRUST, "/run/certificates")
        return found | {"CERTIFICATES": certificates if installs else "", "VOLUME": self.volume}

    def run(self, words: list[str], *, installs: bool = False) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(words), env=self.environment(installs=installs), capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, words: list[str], log: Path) -> "subprocess.Popen[bytes]":
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command(words), env=self.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @staticmethod
    def stop(process: "subprocess.Popen[bytes]") -> None:
        """Kill the first process of the container. All others end with it."""
        for first in children(process.pid):
            os.kill(first, signal.SIGKILL)
        process.wait()

    def run_in(self, process: "subprocess.Popen[bytes]", words: list[str]) -> "subprocess.CompletedProcess[str]":
        """Run a command beside a started one, as `docker exec` and health checks do."""
        pid = str(*children(process.pid))
        ids = ["--setuid", self._id("passwd"), "--setgid", self._id("group")] if self.user else []
        enter = ["nsenter", "--target", pid, "--mount", "--pid", "--root", *ids, f"--wd=/proc/{pid}/cwd"]
        return subprocess.run(
            [*enter, "--", *words], env=self.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def _id(self, table: str) -> str:
        lines = (self.root / "etc" / table).read_text().splitlines()
        return next(line.split(":")[2] for line in lines if line.startswith(f"{self.user}:"))
