"""Confines a process to the files that it needs, with Landlock (Linux 5.13 or newer).

sandbox.py starts ffmpeg through `main`, which confines its own process and then executes ffmpeg. The child process of
the probe calls `confine` after its imports. This module imports little, because it runs before each start of ffmpeg.
It takes 12 ms, most of which is the start of Python.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` imports enum: two milliseconds
import ctypes
import os
import stat
import struct
import sys

TYPE_CHECKING = False  # instead of importing typing, which takes milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The numbers of the system calls are the same on every architecture of Linux except alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REGULAR = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
# Without links, sockets, devices and moves between folders, which ffmpeg does not need.
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _MAKE_REGULAR | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR
_FILE_RIGHTS = _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE  # the rights that a rule for a file may have
# The number of file rights of each version of Landlock. All are denied except where a rule allows them.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_SINCE_5 = 16
_TCP_BIND_AND_CONNECT = 3  # since 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 3  # since 6

# What every program reads. Folders of libraries hold programs, too, such as the dynamic loader.
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
SYSTEM = (
    "/etc/ld.so.cache", "/dev/urandom", "/dev/random", "/dev/zero", "/etc/localtime", "/usr/share/zoneinfo",
    "/etc/fonts", "/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/var/cache/fontconfig",
    # Encoders and the memory allocator read the number of processors and the memory policy.
    "/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu", "/sys/devices/system/node",
)  # fmt: skip
_NULL = "/dev/null"


class NoLandlock(Exception):
    """This kernel has no Landlock, or it is switched off. The message is the kernel's."""


def version() -> int:
    """The version of the kernel's Landlock, from 1."""
    if sys.platform != "linux" or os.uname().machine == "alpha":
        raise NoLandlock("only Linux has Landlock")
    try:
        return _call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError as error:
        raise NoLandlock(f"this kernel has no Landlock: {error.strerror}") from error


def confine(read: Iterable[str] = (), write: Iterable[str] = (), execute: Iterable[str] = ()) -> None:
    """Allow this thread and its children to open only these files and the contents of these folders.

    A path that does not exist, or that this user cannot reach, gets no rule: it could not be opened anyway.
    """
    abi = version()
    files = (1 << _RIGHTS.get(abi, _RIGHTS_SINCE_5)) - 1
    attributes = struct.pack("QQQ", files, _TCP_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS)
    length = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _call(_CREATE_RULESET, attributes, length, 0)
    try:
        for paths, rights in ((read, _READ), (write, _WRITE), (execute, _READ | _EXECUTE)):
            for path in paths:
                _allow(ruleset, path, rights & files)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        number = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(number).st_mode):
            rights &= _FILE_RIGHTS
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, number), 0)
    finally:
        os.close(number)


def _call(number: int, *arguments: bytes | int | None) -> int:
    return _checked(_libc().syscall(ctypes.c_long(number), *map(_word, arguments)))


def _prctl(*arguments: int) -> None:
    _checked(_libc().prctl(*map(_word, arguments)))


def _word(value: bytes | int | None) -> ctypes.c_long | bytes | None:
    return ctypes.c_long(value) if isinstance(value, int) else value


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def main(words: Sequence[str]) -> None:
    """Confine this process and execute PROGRAM: `--read PATH --write FOLDER --run PROGRAM -- PROGRAM ARGUMENTS`."""
    end = words.index("--")
    given = {"--read": list(SYSTEM), "--write": [_NULL], "--run": list(LIBRARIES)}
    for option, path in zip(words[:end:2], words[1:end:2], strict=True):
        given[option].append(path)
    argv = list(words[end + 1 :])
    try:
        confine(given["--read"], given["--write"], given["--run"])
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them, and PROGRAM would inherit that
            _signal.signal(number, _signal.SIG_DFL)
        os.execv(argv[0], argv)  # noqa: S606 - no shell, on purpose
    except (OSError, NoLandlock) as failure:
        sys.exit(f"[error] landlock: {failure}")
