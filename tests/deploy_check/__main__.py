"""Try what is in deploy/, without a container engine, and say what could not be tried: `make deploy-check`."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.deploy_check import compose_file, dockerfile, image_run, object_store, seccomp, systemd_boot, units
from tests.deploy_check.image import Builder, BuildFailed, CannotTry, Image
from tests.support.nginx import PROGRAM as NGINX
from tests.support.nginx import Nginx

# What no machine without a container engine can try.
_NEVER = [
    "whether the images that compose.yaml names exist, and have the programs of their health checks",
    "the networks, volumes and limits that a container engine makes from compose.yaml, and its AppArmor profile",
    "the layers and the size of the image",
]


@dataclass
class Check:
    """All checks share the image, which takes minutes to build."""

    scratch: Path
    extras: str
    failed: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)

    def all(self) -> dict[str, Callable[[], Iterable[str]]]:
        return {
            "compose.yaml: schema, names, commands": compose_file.problems,
            "Dockerfile: instructions, copied files": dockerfile.problems,
            "systemd units: verify": lambda: self._units(lambda: units.problems(self._folder("units"))),
            "systemd units: security, at most 2.5 of 10": lambda: self._units(units.too_exposed),
            "nginx.conf: nginx -t": self._nginx,
            "SeaweedFS with the command line of compose.yaml": lambda: object_store.problems(self._folder("store")),
            "image: build": lambda: [] if self.image else [""],
            "image: starts as its own account, is healthy, converts a film": lambda: image_run.problems(
                self.image, self._folder("run"), self.extras.split()
            ),
            "image: ffmpeg's sandbox under the workers' seccomp profile": self._profile,
            "systemd units: run in the image under systemd, with a job": lambda: systemd_boot.problems(
                self.image, self._folder("systemd")
            ),
        }

    def run(self) -> None:
        for name, check in self.all().items():
            say(f"== {name}")
            try:
                found = list(check())
            except CannotTry as reason:
                self.untried.append(f"{name}: {reason}")
                continue
            except (AssertionError, BuildFailed, dockerfile.NotUnderstood, subprocess.CalledProcessError) as error:
                found = [str(error)]
            self.failed += [f"{name}: {problem}" for problem in found]

    @cached_property
    def image(self) -> Image:
        if os.geteuid():
            raise CannotTry("it needs root, for the file systems of the image")
        return Builder(self._folder("image"), say, {"EXTRAS": self.extras}).build()

    def _folder(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)  # each check asks for the image, also when it could not be built
        return folder

    def _units(self, check: Callable[[], list[str]]) -> list[str]:
        if units.ANALYZE is None:
            raise CannotTry("systemd is not installed")
        return check()

    def _nginx(self) -> list[str]:
        if NGINX is None:
            raise CannotTry("nginx is not installed")
        nginx = Nginx(self._folder("nginx"), [8000], Path("/srv/millrace/var/media"))
        nginx.write()
        done = subprocess.run(nginx.command("-t"), capture_output=True, text=True)
        return [done.stderr] if done.returncode else []

    def _profile(self) -> Iterator[str]:
        if reason := seccomp.cannot_try():
            raise CannotTry(reason)
        refused = seccomp.numbers(compose_file.refused_calls())
        return image_run.problems_under_profile(self.image, seccomp.program(refused))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make deploy-check", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the image")
    parser.add_argument("--extras", default="", help="build the image with these, such as “speech speech-base”")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="millrace-deploy-check-"))
    scratch.chmod(0o755)
    check = Check(scratch, arguments.extras)
    try:
        check.run()
        report(check)
    finally:
        if arguments.keep:
            say(f"Kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    return bool(check.failed)


def report(check: Check) -> None:
    tried = [name for name in check.all() if not any(line.startswith(f"{name}: ") for line in check.untried)]
    say(f"\nTried, on Linux {platform.release()}:")
    for name in tried:
        failed = any(line.startswith(f"{name}: ") for line in check.failed)
        say(f"  {'FAILED' if failed else 'ok    '} {name}")
    say("Not tried:")
    for line in [*check.untried, *_NEVER]:
        say(f"  {line}")
    for line in check.failed:
        say(f"\nFAILED {line}")


if __name__ == "__main__":
    sys.exit(main())
