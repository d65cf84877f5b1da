"""Start the built image as its Dockerfile says, and use it."""

import http.client
import shutil
import subprocess
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from tests.deploy_check import seccomp
from tests.deploy_check.container import Container
from tests.deploy_check.image import Image
from tests.support.free_ports import free_port
from tests.support.processes import descendants
from tests.support.waiting import wait_until

_TONE = "/srv/tone.wav"


def problems(image: Image, scratch: Path, extras: Sequence[str]) -> Iterator[str]:
    """It serves, is healthy, runs as another account than root, converts a film, and uses the model of an extra."""
    port = free_port()
    # On this machine's loopback, as it has no network of its own.
    here = {"MILLRACE_HOST": "127.0.0.1", "MILLRACE_PORT": str(port)}
    # Nothing else is writable, as compose.yaml says.
    container = replace(image.container, variables=image.container.variables | here, volume=image.words("VOLUME")[0])
    entry, log = image.words("ENTRYPOINT"), scratch / "serve.log"
    _make_tone(image.container.root / _TONE.lstrip("/"))
    with _started(container, [*entry, *image.words("CMD")], log) as process:
        wait_until(lambda: _responds(port) or _ended(process, log), 120, log.read_text)
        health = container.run_in(process, image.health_check)
        if health.returncode:
            yield f"the health check says: {health.stdout}{health.stderr}"
        yield from _accounts(process)
        checked = container.run_in(process, [*entry, "check"])
        yield from _says(checked, "manage.py check")
        yield from (f"the extra {each} is missing" for each in extras if f"{each} (" not in checked.stderr)
        if "speech" in extras:
            yield from _says(container.run_in(process, [*entry, "submit", _TONE, "transcribe"]), "transcribe")
    if image.container.run(["sh", "-c", "touch manage.py config/settings.py"]).returncode == 0:
        yield "its account can change the code"
    yield from _says(container.run([*entry, "demo", "--seconds", "2"]), "manage.py demo")


def _make_tone(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 250)
    path.chmod(0o644)


@contextmanager
def _started(container: Container, words: list[str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    process = container.start(words, log)
    try:
        yield process
    finally:
        Container.stop(process)


def _responds(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    return False


def _ended(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return False


def _accounts(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    for pid, command in descendants(process.pid).items():
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            if next(line for line in lines if line.startswith("Uid:")).split()[2] == "0":
                yield f"runs as root: {command}"


def _says(done: "subprocess.CompletedProcess[str]", what: str) -> Iterator[str]:
    """A failure, or a warning that a layer of ffmpeg's sandbox is missing."""
    said = done.stdout + done.stderr
    if done.returncode or "media_jobs.W" in said:
        yield f"{what}: {said[-2000:]}"


def problems_under_profile(image: Image, filter_program: bytes) -> Iterator[str]:
    """Under the workers' seccomp profile, ffmpeg's sandbox has all its layers, and `mount` is refused."""
    shutil.copy(seccomp.__file__, image.container.root / "tmp" / "seccomp.py")
    under_profile = ["python3", "/tmp/seccomp.py", filter_program.hex()]  # noqa: S108  # of the image
    yield from _says(image.container.run([*under_profile, *image.words("ENTRYPOINT"), "check"]), "under the profile")
    mount = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    if image.container.run(mount).returncode:
        yield "mount fails without the profile, so this proves nothing"
    if image.container.run([*under_profile, *mount]).returncode == 0:
        yield "mount works under the profile"
