"""What this process works with: an ffmpeg, and the sandbox that it runs in. Found once, tried, and reported."""

from dataclasses import dataclass
from functools import cache

from ..conf import jobs
from ..ffmpeg import binary
from ..ffmpeg.binary import Binary
from ..ffmpeg.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Equipment:
    binary: Binary
    sandbox: Sandbox


@cache
def equipment() -> Equipment:
    found = binary.find(jobs().ffmpeg)
    return Equipment(found, Sandbox.probe(jobs().sandbox, found.path))
