"""seccomp-worker.json, enforced by this kernel: ffmpeg's sandbox must work under it, and what it forbids must fail.

A container engine compiles the profile with libseccomp. Here it becomes a filter of the plainest kind. The command
line of this module runs a program under such a filter, inside the image. So it imports the standard library only.
"""

import ctypes
import os
import platform
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
_X86_64 = 0xC000003E
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_NR, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 22, 38, 2


def cannot_try() -> str:
    if platform.machine() != "x86_64":
        return "the filter is written for x86_64 only"
    return "" if _HEADER.exists() else f"{_HEADER} is not installed (Debian: linux-libc-dev)"


def numbers(names: list[str]) -> list[int]:
    """The numbers of those calls that this architecture has."""
    known = dict(re.findall(r"#define __NR_(\w+) (\d+)", _HEADER.read_text()))
    return [int(known[name]) for name in names if name in known]


def program(refused: list[int]) -> bytes:
    return b"".join(struct.pack("HBBI", *instruction) for instruction in _instructions(refused))


def _instructions(refused: list[int]) -> Iterator[tuple[int, int, int, int]]:
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _JUMP_IF_EQUAL, 1, 0, _X86_64
    yield _RETURN, 0, 0, _EPERM
    yield _LOAD, 0, 0, _NR
    for number in refused:
        yield _JUMP_IF_EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _EPERM
    yield _RETURN, 0, 0, _ALLOW


def apply(filter_program: bytes) -> None:
    """Put this process and its children under the filter."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    given = Program(len(filter_program) // 8, filter_program)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(given), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    apply(bytes.fromhex(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # a shell would change nothing
