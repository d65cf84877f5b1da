"""Build the image of the Dockerfile in folders: each stage is a root file system, made by debootstrap."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.deploy_check import dockerfile
from tests.deploy_check.container import Container
from tests.deploy_check.dockerfile import NotUnderstood, Stage, Step
from tests.support.preloaded_processes import ROOT

_DEBIAN = re.compile(r"debian:(\w+)-slim")


class BuildFailed(Exception):
    """A step of the Dockerfile failed. The message has its output."""


class CannotTry(Exception):
    """This machine lacks the rights, a program or a mirror."""


@dataclass(slots=True)
class Image:
    container: Container
    stage: Stage

    def words(self, instruction: str) -> list[str]:
        step = self.stage.last(instruction)
        assert step is not None
        return step.words

    @property
    def health_check(self) -> list[str]:
        step = self.stage.last("HEALTHCHECK")
        assert step is not None
        return Step("CMD", step.rest.partition(" CMD ")[2]).words


class Builder:
    def __init__(self, scratch: Path, say: Callable[[str], None], arguments: Mapping[str, str]) -> None:
        """`arguments`: values for ARG, instead of its defaults."""
        self._scratch, self._say, self._arguments = scratch, say, arguments
        self._built: dict[str, Container] = {}

    def build(self) -> Image:
        """Run all stages. Returns the last."""
        stages = dockerfile.stages()
        for number, stage in enumerate(stages):
            container = self._started(stage, self._scratch / f"stage-{number}")
            for step in stage.steps:
                self._say(f"  {step.instruction} {step.rest[:100]}")
                container = self._after(container, step)
            self._built[stage.name] = container
        return Image(container, stage)

    def _started(self, stage: Stage, folder: Path) -> Container:
        self._say(f"FROM {stage.base}")
        if stage.base in self._built:
            before = self._built[stage.base]
            subprocess.run(["cp", "--archive", "--reflink=auto", before.root, folder], check=True)
            return replace(before, root=folder)
        if (found := _DEBIAN.fullmatch(stage.base)) is None:
            raise NotUnderstood(f"FROM {stage.base}: only debian:RELEASE-slim can be made here")
        return Container(_debootstrap(found[1], folder))

    def _after(self, container: Container, step: Step) -> Container:
        match step.instruction:
            case "ARG":
                name, _, default = step.words[0].partition("=")
                return replace(container, arguments=container.arguments | {name: self._arguments.get(name, default)})
            case "RUN":
                done = container.run(["/bin/sh", "-c", step.rest], installs=True)
                if done.returncode:
                    raise BuildFailed(f"RUN {step.rest}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            case "COPY":
                self._copy(container, step)
            case "WORKDIR":
                (container.root / step.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
                return replace(container, folder=step.rest)
            case "ENV":
                given = dict(word.split("=", 1) for word in step.words)
                return replace(container, variables=container.variables | given)
            case "USER":
                return replace(container, user=step.rest)
        return container

    def _copy(self, container: Container, step: Step) -> None:
        """A folder's content goes into the target; a file goes into a target that ends with a slash."""
        stage, sources, target = dockerfile.copied(step)
        origin = self._built[stage].root if stage else ROOT
        for source in sources:
            here = origin / source.lstrip("/")
            there = container.root / container.folder.lstrip("/") / target
            if here.is_dir():
                ignored = None if stage else shutil.ignore_patterns("__pycache__")
                shutil.copytree(here, there, symlinks=True, dirs_exist_ok=True, ignore=ignored)
            else:
                there = there / here.name if target.endswith("/") else there
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(here, there)


def _debootstrap(release: str, folder: Path) -> Path:
    if shutil.which("debootstrap") is None:
        raise CannotTry("debootstrap is not installed")
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", release, str(folder), _mirror()], capture_output=True, text=True
    )
    if done.returncode:
        raise CannotTry(f"debootstrap of {release} failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    return folder


def _mirror() -> str:
    """Where this machine gets Debian's packages."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"],
        capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not listed:
        raise CannotTry("this machine has no mirror of Debian")
    return next((mirror for mirror in listed if "security" not in mirror), listed[0])
