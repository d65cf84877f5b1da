"""The sandbox in which ffmpeg and the probe run.

It is a chain of commands in front of the program, from outside to inside: `nice`, no network (`unshare` or `bwrap`),
`prlimit`, `setpriv` with the signal that ends the program when its parent dies, and Landlock for the files that it
may open. No code runs between fork and exec. A layer that this machine does not have is left out: see `layers`.
"""

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from . import landlock

Level = Literal["off", "on", "require"]

_TIMEOUT = 5.0  # seconds to try a layer
_GB = 1 << 30
_HERE = Path(__file__).resolve().parent
# Imported, so that Python does not compile it each time; without `site`, which takes as long as the rest.
_CONFINE = "import sys; sys.path.append(sys.argv.pop(1)); import landlock; landlock.main(sys.argv[1:])"
# Do not start if the parent died before setpriv asked for the signal: the program would never end.
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'


class NoIsolation(Exception):
    """MILLRACE_SANDBOX=require is set, and this machine cannot cut ffmpeg off from the network."""


@dataclass(frozen=True, slots=True)
class Limits:
    cpu_seconds: int = 24 * 3600
    address_space: int = 5 * _GB
    resident: int = 3 * _GB  # the kernel has no limit for this: process.py enforces it
    file_size: int = 1 << 42
    room: int = 1 << 42  # free space on the disk, which also limits the size of a file
    open_files: int = 256

    @classmethod
    def of(cls, threads: int, seconds: float, pixels: int = 0, room: int | None = None) -> "Limits":
        """Return the limits for one run of ffmpeg.

        They depend on its threads, its timeout, the pixels of a frame, and the free disk space.

        Measured resident memory, and in brackets the address space, in MB:

                           x264           x265           VP9            SVT-AV1
        180p, 2 threads    50 (800)       90 (1000)      70 (730)       100 (1280)
        1080p, 2 threads   410 (1200)     450 (1330)     360 (990)      520 (1700)
        4K, 2 threads      1400 (2140)    1450 (2410)    1160 (1700)    1760 (3010)
        4K, 8 threads      1940 (3300)    2240 (3610)    1340 (2280)    3860 (8980)

        4K in HDR takes 500 MB more. The index of a long film takes 100 bytes a frame in addition.
        """
        resident = 3 * _GB // 4 + pixels * (200 + 50 * threads)
        maximum = 2 * _GB + threads * _GB // 2
        found = cls(max(1, int(seconds * (threads + 1))), (3 + threads) * _GB, min(resident, maximum))
        return found if room is None else replace(found, room=room)


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a program may open, in addition to its own, libraries and fonts."""

    read: Sequence[Path] = ()
    write: Sequence[Path] = ()  # folders


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    holds: bool
    why: str  # how it works, or why it does not


@dataclass(frozen=True, slots=True)
class Sandbox:
    level: Level
    layers: tuple[Layer, ...]
    _tools: Mapping[str, tuple[str, ...]] = field(repr=False)  # the command of each layer that works

    @staticmethod
    def probe(level: Level = "on", program: Path | None = None) -> "Sandbox":
        """Try every layer by running a command in it; Landlock with `program -version`. Cached for this process."""
        return _probe(level, program)

    def holds(self, name: str) -> bool:
        return any(layer.holds for layer in self.layers if layer.name == name)

    @property
    def confines_files(self) -> bool:
        return self.holds(OWN_FILES)

    def as_json(self) -> dict[str, object]:
        return {"level": self.level, "layers": [asdict(layer) for layer in self.layers]}

    def wrap(self, argv: Sequence[str], limits: Limits, files: Files | None = None) -> list[str]:
        """The command that runs `argv` in the sandbox. This process must start it, in a session of its own.

        With `files` None, Landlock is left out: the child process of the probe confines itself.
        """
        tools = self._tools
        command = [*tools.get("niceness", ()), *tools.get("network", ())]
        if "limits" in tools:
            command += [*tools["limits"], *_limits(limits), "--"]
        if "parent" in tools:
            command += [*tools["parent"], "/bin/sh", "-c", _UNLESS_ORPHANED, str(os.getpid())]
        if files is not None and self.confines_files:
            argv = _confined(argv, files)
        return [*command, *argv]

    def environment(self, home: Path) -> dict[str, str]:
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(home)}


def _confined(argv: Sequence[str], files: Files) -> list[str]:
    program = Path(argv[0]).resolve()
    # A program such as /opt/ffmpeg/bin/ffmpeg has its libraries in /opt/ffmpeg/lib.
    paths = {"--run": [program, program.parent.parent / "lib"], "--read": files.read, "--write": files.write}
    options = [word for option, given in paths.items() for path in given for word in (option, str(path))]
    return [sys.executable, "-I", "-S", "-c", _CONFINE, str(_HERE), *options, "--", *argv]


def _limits(limits: Limits) -> list[str]:
    # At the soft limit it gets SIGXCPU, which tells the reason; at the hard limit it is killed.
    return [
        f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 5}",
        f"--as={limits.address_space}",
        f"--fsize={min(limits.file_size, limits.room)}",
        f"--nofile={limits.open_files}",
        "--core=0",
    ]


OWN_FILES = "reads and writes only its own files"
# For each layer: the name that users see, and the commands that provide it, the best first.
_LAYERS: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "niceness": ("lower priority", (("nice", "-n", "10"),)),
    "network": (
        "no network",
        (
            ("unshare", "--map-root-user", "--net", "--"),
            ("unshare", "--net", "--"),
            ("bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent", "--"),
        ),
    ),
    "limits": ("limits of time, memory and files", (("prlimit",),)),
    "parent": ("ends when its worker dies", (("setpriv", "--no-new-privs", "--pdeathsig", "KILL", "--"),)),
}
# These are used even with MILLRACE_SANDBOX=off: ffmpeg must never outlive its worker.
_ALWAYS_ON = {"parent"}


@functools.cache
def _probe(level: Level, program: Path | None = None) -> Sandbox:
    layers = [Layer("own session", True, "setsid"), Layer("empty environment", True, "only PATH, LANG and HOME")]
    tools: dict[str, tuple[str, ...]] = {}
    for key, (name, commands) in _LAYERS.items():
        if level == "off" and key not in _ALWAYS_ON:
            layers.append(Layer(name, False, "switched off"))
            continue
        found, why = _first_that_works(commands)
        layers.append(Layer(name, bool(found), why))
        if found:
            tools[key] = found
    layers.append(_own_files(program) if level != "off" else Layer(OWN_FILES, False, "switched off"))
    if level == "require" and "network" not in tools:
        raise NoIsolation(f"This machine cannot cut ffmpeg off from the network: {_why(layers, 'no network')}")
    if "bwrap" in "".join(tools.get("network", ())[:1]):
        tools.pop("parent", None)  # bwrap forks: inside, bwrap is the parent, and --die-with-parent does the same
    return Sandbox(level, tuple(layers), tools)


def _own_files(program: Path | None) -> Layer:
    """Whether the program starts under Landlock: its libraries may be in an unusual folder."""
    argv = [str(program), "-version"] if program else ["/bin/sh", "-c", ":"]
    try:
        version = landlock.version()
    except landlock.NoLandlock as reason:
        return Layer(OWN_FILES, False, str(reason))
    if trouble := _failure(_confined(argv, Files())):
        return Layer(OWN_FILES, False, f"{argv[0]} does not start: {trouble}")
    return Layer(OWN_FILES, True, f"Landlock, version {version}")


def _first_that_works(commands: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], str]:
    failures = []
    for name, *options in commands:
        path = shutil.which(name)
        trouble = _try_command((path, *options)) if path else "not installed"
        if path and not trouble:
            return (path, *options), " ".join([name, *options]).removesuffix(" --")
        failures.append(f"{name}: {trouble}")
    return (), "; ".join(dict.fromkeys(failures))


def _try_command(command: tuple[str, ...]) -> str:
    """Why the command of a layer does not work, or ""."""
    limits = [*_limits(Limits()), "--"] if command[0].endswith("prlimit") else []
    return _failure([*command, *limits, "/bin/sh", "-c", ":"])


def _failure(command: Sequence[str]) -> str:
    """Run a command; return why it failed, or ""."""
    try:
        completed = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return getattr(error, "strerror", None) or f"no answer within {_TIMEOUT:g} seconds"
    if completed.returncode:
        return completed.stderr.strip().partition("\n")[0] or _ending(completed.returncode)
    return ""


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _why(layers: Sequence[Layer], name: str) -> str:
    return next(layer.why for layer in layers if layer.name == name)
