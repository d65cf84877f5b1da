"""Take HLS apart with ffmpeg's own readers: what a player would get of a rendition, compared with the source."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av

from tests.support.troubled_clips import FFMPEG


@dataclass(frozen=True)
class Packet:
    begin: float  # seconds, when it is presented
    size: int
    content: bytes


def packets(path: Path, kind: str, number: int = 0) -> list[Packet]:
    """The packets of the first stream of this kind, or of another one."""
    with av.open(str(path)) as container:
        stream = [found for found in container.streams if found.type == kind][number]
        return [
            Packet(round(float(packet.pts * packet.time_base), 5), packet.size, bytes(packet))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and packet.time_base is not None
        ]


def decoded(path: Path) -> str:
    """The hash of every decoded picture with its time. Errors of the decoder fail."""
    command = [FFMPEG, "-v", "error", "-xerror", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    done = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("#"))
