"""What every run of ffmpeg, and of the process that probes, is locked into.

It is done by the command in front of it, from outside to inside: `nice`, no network (`unshare` or `bwrap`),
`prlimit`, `setpriv`, with the signal that ends it when we die, and Landlock, for the files that it may open. Nothing
runs in our process between fork and exec. What a machine does not have is missing, and `layers` says so.
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

_PATIENCE = 5.0  # seconds for a layer to show that it holds
_GB = 1 << 30
_HERE = Path(__file__).resolve().parent
# Imported, not run as a file: Python would compile it each time. Nor with `site`, which takes as long as the rest.
_CONFINE = "import sys; sys.path.append(sys.argv.pop(1)); import landlock; landlock.main(sys.argv[1:])"
# The process that started it may have died before the signal of its death was asked for. Nobody else is its parent.
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'


class NoIsolation(Exception):
    """`require` was set, and nothing on this machine keeps ffmpeg from the network."""


@dataclass(frozen=True, slots=True)
class Limits:
    cpu_seconds: int = 24 * 3600
    address_space: int = 5 * _GB
    resident: int = 3 * _GB  # there is no limit of the kernel's for this: whoever watches the process holds it
    file_size: int = 1 << 42
    room: int = 1 << 42  # on the disk: no file may become larger than that either
    open_files: int = 256

    @classmethod
    def of(cls, threads: int, seconds: float, pixels: int = 0, room: int | None = None) -> "Limits":
        """For an ffmpeg of so many threads that may take so long, with pictures of so many pixels, on a disk that may
        take so many bytes more.

        Measured resident, and in brackets the address space, in MB:

                           x264           x265           VP9            SVT-AV1
        180p, 2 threads    50 (800)       90 (1000)      70 (730)       100 (1280)
        1080p, 2 threads   410 (1200)     450 (1330)     360 (990)      520 (1700)
        4K, 2 threads      1400 (2140)    1450 (2410)    1160 (1700)    1760 (3010)
        4K, 8 threads      1940 (3300)    2240 (3610)    1340 (2280)    3860 (8980)

        and for 4K in HDR 500 more. An index of a film of hours comes on top: 100 bytes a frame.
        """
        needed = 3 * _GB // 4 + pixels * (200 + 50 * threads)
        most = 2 * _GB + threads * _GB // 2
        found = cls(max(1, int(seconds * (threads + 1))), (3 + threads) * _GB, min(needed, most))
        return found if room is None else replace(found, room=room)


@dataclass(frozen=True, slots=True)
class Files:
    """What a tool may open besides its program, its libraries and fonts."""

    read: Sequence[Path] = ()
    write: Sequence[Path] = ()  # folders


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    holds: bool
    why: str  # what makes it hold, or why it does not


@dataclass(frozen=True, slots=True)
class Sandbox:
    level: Level
    layers: tuple[Layer, ...]
    _tools: Mapping[str, tuple[str, ...]] = field(repr=False)  # by layer: the beginning of the command for it

    @staticmethod
    def probe(level: Level = "on", program: Path | None = None) -> "Sandbox":
        """Try every layer by running something in it: `program -version` where it decides. Once per process."""
        return _probe(level, program)

    def holds(self, name: str) -> bool:
        return any(layer.holds for layer in self.layers if layer.name == name)

    @property
    def confines_files(self) -> bool:
        return self.holds(OWN_FILES)

    def as_json(self) -> dict[str, object]:
        return {"level": self.level, "layers": [asdict(layer) for layer in self.layers]}

    def wrap(self, argv: Sequence[str], limits: Limits, files: Files | None = None) -> list[str]:
        """The command that runs `argv` in here: to be started by this process, in a session of its own.

        Without `files` it is not confined to any: it sees to that itself, as the process that probes does.
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
    # Of a program in a tree of its own, such as /opt/ffmpeg/bin/ffmpeg, the libraries lie beside `bin`.
    paths = {"--run": [program, program.parent.parent / "lib"], "--read": files.read, "--write": files.write}
    options = [word for option, given in paths.items() for path in given for word in (option, str(path))]
    return [sys.executable, "-I", "-S", "-c", _CONFINE, str(_HERE), *options, "--", *argv]


def _limits(limits: Limits) -> list[str]:
    # Between the soft and the hard limit it gets SIGXCPU: whoever finds it dead can tell why.
    return [
        f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 5}",
        f"--as={limits.address_space}",
        f"--fsize={min(limits.file_size, limits.room)}",
        f"--nofile={limits.open_files}",
        "--core=0",
    ]


OWN_FILES = "reads and writes only its own files"
# By layer: what people see of it, and the commands that can do it, the best first.
_WAYS: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
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
# Without a sandbox it may do what we may, and still not outlive us.
_WITHOUT_SANDBOX = {"parent"}


@functools.cache
def _probe(level: Level, program: Path | None = None) -> Sandbox:
    layers = [Layer("own session", True, "setsid"), Layer("empty environment", True, "PATH, LANG and HOME alone")]
    tools: dict[str, tuple[str, ...]] = {}
    for key, (name, ways) in _WAYS.items():
        if level == "off" and key not in _WITHOUT_SANDBOX:
            layers.append(Layer(name, False, "switched off"))
            continue
        found, why = _first_that_works(ways)
        layers.append(Layer(name, bool(found), why))
        if found:
            tools[key] = found
    layers.append(_own_files(program) if level != "off" else Layer(OWN_FILES, False, "switched off"))
    if level == "require" and "network" not in tools:
        raise NoIsolation(f"Nothing here keeps ffmpeg from the network: {_why(layers, 'no network')}")
    if "bwrap" in "".join(tools.get("network", ())[:1]):
        tools.pop("parent", None)  # bwrap forks, and sees to it itself: inside, it is the parent
    return Sandbox(level, tuple(layers), tools)


def _own_files(program: Path | None) -> Layer:
    """Whether the program starts when it is confined: its libraries may lie where nobody expects them."""
    argv = [str(program), "-version"] if program else ["/bin/sh", "-c", ":"]
    try:
        version = landlock.version()
    except landlock.NoLandlock as reason:
        return Layer(OWN_FILES, False, str(reason))
    if trouble := _failure(_confined(argv, Files())):
        return Layer(OWN_FILES, False, f"{argv[0]} does not start: {trouble}")
    return Layer(OWN_FILES, True, f"Landlock, version {version}")


def _first_that_works(ways: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], str]:
    failures = []
    for name, *options in ways:
        path = shutil.which(name)
        trouble = _trouble((path, *options)) if path else "not installed"
        if path and not trouble:
            return (path, *options), " ".join([name, *options]).removesuffix(" --")
        failures.append(f"{name}: {trouble}")
    return (), "; ".join(dict.fromkeys(failures))


def _trouble(way: tuple[str, ...]) -> str:
    """Why this way does not hold, or nothing."""
    return _failure([*way, *([*_limits(Limits()), "--"] if way[0].endswith("prlimit") else []), "/bin/sh", "-c", ":"])


def _failure(command: Sequence[str]) -> str:
    try:
        ended = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return getattr(error, "strerror", None) or "it hangs"
    if ended.returncode:
        return ended.stderr.strip().partition("\n")[0] or _ending(ended.returncode)
    return ""


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"it ends with code {code}"


def _why(layers: Sequence[Layer], name: str) -> str:
    return next(layer.why for layer in layers if layer.name == name)
