"""Runs one operation in this process, as a worker does but without the database, and tells what it took."""

import contextlib
import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work
from media_jobs.understanding.warm_helper import WarmHelper
from tests.support.run import command_for, result_of

from .machine import family

_MB = 1e6


def operate(name: str, source: str, folder: str, params: dict[str, Any]) -> dict[str, float]:
    """Run an operation as a worker does, without the database."""
    found, path, work = get(name), Path(source), Path(folder)
    sandbox = Sandbox.probe()
    facts = probe(path, sandbox)
    tools = Toolbox(find(), sandbox, work, 2, lambda: None, lambda report: None)
    memory = Memory()
    tools.check = memory.look
    before, began = cpu_seconds(), time.monotonic()
    kind = "video" if facts.picture else "audio"
    helper = WarmHelper(lambda: sandbox)
    main = Input(path, path.name, kind, facts)
    with helper.lend("bench", 2, memory.look) as lent:
        found.run(Work(parse(found, params), main, [], work, tools, 2, inference=lent))
    wall = time.monotonic() - began
    memory.look()
    helper.end()
    cpu = cpu_seconds() - before
    return {"wall": wall, "cpu": cpu, "memory": memory.most / _MB}


@dataclass(frozen=True)
class Run:
    wall: float
    cpu: float  # of the operation and of ffmpeg
    memory: float  # MB, of both

    def words(self) -> str:
        return f"{self.wall:.1f} s on the clock, {self.memory:.0f} MB"


def alone(name: str, source: Path, folder: Path, /, **params: Any) -> Run:
    """Run an operation in a process of its own, which has nothing else in memory."""
    folder.mkdir(mode=0o700)
    command = command_for(operate, name, str(source), str(folder), params)
    # Without Django, which workers have in memory anyway.
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Run(**result_of(done.stdout))


class Memory:
    """The most memory that this process and ffmpeg held at one time, of some ten looks a second."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def look(self) -> None:
        with contextlib.suppress(OSError):  # a process has just ended
            self.now = sum(map(_resident, family(os.getpid())))
            self.most = max(self.most, self.now)


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def cpu_seconds() -> float:
    used = [resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
