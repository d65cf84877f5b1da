"""Start the systemd units under a real systemd, in the built image, to which systemd is added."""

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg

from tests.deploy_check import units
from tests.deploy_check.container import Container
from tests.deploy_check.image import BuildFailed, Image
from tests.support.processes import children
from tests.support.waiting import wait_until

_INSTALL = """
apt-get update -qq
apt-get install -y -qq --no-install-recommends systemd dbus curl
install --directory --owner=millrace --group=millrace --mode=0700 /srv/millrace/var
"""
# What would change the machine instead of the container.
_MASKED = "udevd modules-load sysctl networkd resolved logind timesyncd"
# Devices, cgroups and folders as systemd expects them of a container engine. $1 is the root.
_BOOT = """
set -e
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . mnt
umount -l /mnt
exec env -i container=deploy-check PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
"""
_NAMESPACES = ["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net"]
_LIST = ["systemctl", "list-units", "millrace*", "--plain", "--no-legend", "--state=active,deactivating"]
_STARTED = ["web", "housekeeping", "worker@quick", "worker@heavy"]


def problems(image: Image, scratch: Path) -> Iterator[str]:
    """All units run, the sandbox of ffmpeg has all its layers in them, and a job succeeds."""
    root = _prepared(image, scratch)
    with _booted(root, scratch / "boot.log") as system:
        wait_until(
            lambda: system.run("curl", "-sf", "http://127.0.0.1:8000/healthz").returncode == 0, 180, system.log
        )
        wait_until(lambda: len(_workers(root)) == 2, 120, system.log)
        done = system.run(
            "setpriv", "--reuid", "millrace", "--regid", "millrace", "--clear-groups", "sh", "-c",
            "cd /srv/millrace && MILLRACE_HOME=/srv/millrace/var .venv/bin/python manage.py submit "
            "/srv/millrace/clip.mp4 transcode height=90",
        )  # fmt: skip
        if done.returncode:
            yield f"a job failed: {done.stdout[-1000:]}{done.stderr[-1000:]}"
        yield from (f"a worker has no {layer}" for layers in _workers(root) for layer in _missing(layers))
        for name in _STARTED:
            state = system.run("systemctl", "show", f"millrace-{name}", "--property=ActiveState,NRestarts").stdout
            if state.split() != ["NRestarts=0", "ActiveState=active"]:
                yield f"{name}: {' '.join(state.split())}"
        if "media_jobs.W" in system.log():
            yield "a start warns that the sandbox lacks a layer"
        assert len(system.run(*_LIST).stdout.splitlines()) == len(_STARTED) + 1, system.run(*_LIST)
        system.run("systemctl", "stop", "millrace.target")
        wait_until(lambda: not system.run(*_LIST).stdout, 90, system.log)


class _System:
    def __init__(self, init: int) -> None:
        self._enter = ["nsenter", "--target", str(init), "-m", "-p", "-n", "-u", "-i", "-C", "--"]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run([*self._enter, *words], capture_output=True, text=True, env=environment)

    def log(self) -> str:
        return self.run("journalctl", "--no-pager", "--unit=millrace*").stdout[-20_000:]


def _prepared(image: Image, scratch: Path) -> Path:
    root = scratch / "root"
    subprocess.run(["cp", "--archive", "--reflink=auto", image.container.root, root], check=True)
    container = Container(root)
    if (done := container.run(["sh", "-ec", _INSTALL], installs=True)).returncode:
        raise BuildFailed(done.stdout[-1000:] + done.stderr[-1000:])
    for unit in units.FOLDER.iterdir():
        (root / "etc/systemd/system" / unit.name).write_text(unit.read_text())
    enabled = ["millrace.target", *(f"millrace-{name}" for name in _STARTED)]
    masked = [f"systemd-{name}" for name in _MASKED.split()]
    for verb, named in (("enable", enabled), ("mask", masked)):
        subprocess.run(["systemctl", f"--root={root}", "--quiet", verb, *named], check=True)
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:duration=2", "-pix_fmt", "yuv420p"]
    clip = root / "srv/millrace/clip.mp4"
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, clip], check=True)
    clip.chmod(0o644)
    return replace(container, root=root).root


@contextlib.contextmanager
def _booted(root: Path, log: Path) -> Iterator[_System]:
    command = ["unshare", "--propagation", "private", "--fork", *_NAMESPACES, "sh", "-c", _BOOT, "sh", str(root)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        [init] = wait_until(lambda: children(process.pid))
        yield _System(init)
    finally:
        Container.stop(process)


def _workers(root: Path) -> list[str]:
    """What each worker has found out about its sandbox."""
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(root / "srv/millrace/var/millrace.sqlite3", timeout=20)
        with contextlib.closing(connection):
            return [layers for (layers,) in connection.execute("SELECT layers FROM media_jobs_worker")]
    return []


def _missing(layers: str) -> list[str]:
    return [layer["name"] for layer in json.loads(layers)["layers"] if not layer["holds"]]
