"""The child process that reads a file with PyAV, inside the sandbox, and prints what it found as JSON.

    python -m media_jobs.ffmpeg.probing.child_process facts|packets PATH [confined]

`facts` reads the beginning of the file; `packets` reads the whole file as well. With `confined`, Landlock allows only
this file and the process's own code to be opened. Messages of ffmpeg's libraries go to stderr. The exit code says
whether the file could be read. The module imports little, because it is started for every file.
"""

import json
import logging
import os
import re
import stat
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import av
import av.logging
from av.container import InputContainer

from ..demuxers import ALLOWED, MAX_PIXELS, MAX_STREAMS, STILL_IMAGES, WRONG_DURATION
from ..landlock import NoLandlock, confine
from . import EXIT_REFUSED, EXIT_UNCONFINED
from .file_layout import file_layout
from .stream_labels import file_labels, label_facts
from .video_stream import Refused, VideoStreamReader, animated_webp

_MAX_PACKETS = 3000  # are read to find a first frame and the frame rate
_TIME = re.compile(r"(\d{2,4}):(\d\d):(\d\d(?:\.\d+)?)", re.ASCII)
_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}  # what players assume where a file does not say
_CODE = [str(Path(path).parent) for path in (os.__file__, av.__file__)]  # folders of modules that are imported late


@dataclass(slots=True)
class StreamPackets:
    """Figures of all packets of one stream. Times are in seconds."""

    kind: str
    packets: int = 0
    begin: float | None = None
    end: float | None = None
    backwards: int = 0  # packets whose decoding time is before that of the packet before them
    corrupt: int = 0
    _last: int | None = field(default=None, repr=False)

    def add(self, packet: "av.Packet[Any]") -> None:
        self.packets += 1
        self.corrupt += packet.is_corrupt
        if packet.dts is not None:
            self.backwards += self._last is not None and packet.dts < self._last
            self._last = packet.dts
        if packet.pts is not None and packet.time_base is not None:
            begin = float(packet.pts * packet.time_base)
            end = begin + float((packet.duration or 0) * packet.time_base)
            self.begin = begin if self.begin is None else min(self.begin, begin)
            self.end = end if self.end is None else max(self.end, end)


def main(mode: str, path: str, confined: str = "") -> int:
    _log_to_stderr()
    if confined:
        try:
            confine(read=[path, *_CODE])
        except (OSError, NoLandlock) as failure:
            print(f"[error] landlock: {failure}", file=sys.stderr)  # noqa: T201
            return EXIT_UNCONFINED
    try:
        with _opened(path) as number:
            answer = _facts(number)
            if mode == "packets":
                answer["packets"] = [asdict(stream) for stream in _read_packets(number)]
    except Refused as refused:
        print(json.dumps({"refused": str(refused)}))  # noqa: T201 - the answer to the parent
        return EXIT_REFUSED
    except (av.error.FFmpegError, MemoryError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        print(f"[error] {reason}", file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps(answer))  # noqa: T201
    return 0


def _log_to_stderr() -> None:
    """In the format of the ffmpeg program, with the level before each message: error_output reads both."""
    for level, name in ((logging.CRITICAL, "fatal"), (logging.ERROR, "error"), (logging.WARNING, "warning")):
        logging.addLevelName(level, name)
    logging.basicConfig(format="[%(levelname)s] %(message)s")
    av.logging.set_level(av.logging.WARNING)


class _opened:
    """Open a file as a descriptor, so that ffmpeg sees no name: no pattern in it and no extension."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._number = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would block
        status = os.fstat(self._number)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("It is not a file.")
        if not status.st_size:
            raise Refused("The file is empty.")
        return self._number

    def __exit__(self, *_: object) -> None:
        os.close(self._number)


def _container(number: int) -> InputContainer:
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(ALLOWED),
        "max_streams": str(MAX_STREAMS + 1),  # one more than allowed, to notice that there are more
        "max_pixels": str(MAX_PIXELS),
        "threads": "1",
    }
    return av.open(f"file:{folder}/{number}", options=options, metadata_errors="replace")


def _facts(number: int) -> dict[str, Any]:
    return animated_webp(number) or _facts_of_container(number)


def _facts_of_container(number: int) -> dict[str, Any]:
    with _container(number) as container:
        if len(container.streams) > MAX_STREAMS:
            raise Refused(f"The file has more than {MAX_STREAMS} streams, which is the limit.")
        pictures = {
            stream.index: VideoStreamReader(stream) for stream in container.streams.video if stream.codec_context
        }
        _read_beginning(container, pictures)
        name = container.format.name.partition(",")[0]
        duration = _duration(container, name)
        size = os.fstat(number).st_size
        return {
            "format": name,
            "duration": duration,
            "begin": (container.start_time or 0) / av.time_base,
            "bit_rate": int(size * 8 / duration) if duration else None,
            **(file_layout(number) if name == "mov" else {}),
            **file_labels(container),
            "video": [_video(pictures[index], name) for index in sorted(pictures)],
            "audio": [_audio(stream) for stream in container.streams.audio if stream.codec_context],
            "subtitles": [_subtitle(stream) for stream in container.streams.subtitles if stream.codec_context],
            "undecoded": [index for index, picture in pictures.items() if picture.frame is None],
        }


def _read_beginning(container: InputContainer, pictures: "dict[int, VideoStreamReader]") -> None:
    """Read packets until the first frame of every video stream is decoded and its frame rate is known."""
    if not pictures:
        return
    for number, packet in enumerate(container.demux()):
        if packet.stream_index in pictures:
            pictures[packet.stream_index].add(packet)
        if number > _MAX_PACKETS or all(picture.is_known for picture in pictures.values()):
            return


def _duration(container: InputContainer, name: str) -> float | None:
    if name in STILL_IMAGES | WRONG_DURATION:
        return None
    if container.duration and container.duration > 0:
        return float(container.duration / av.time_base)
    known = [float(s.duration * s.time_base) for s in container.streams if s.duration and s.time_base]
    return max(known, default=None)


def _video(reader: VideoStreamReader, name: str) -> dict[str, Any]:
    return reader.facts(is_still=name in STILL_IMAGES) | {"end": _end(reader.stream)}


def _audio(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    return {
        "index": stream.index,
        "codec": context.codec.canonical_name,
        "channels": context.layout.nb_channels,
        "layout": _LAYOUTS.get(context.layout.name, context.layout.name),
        "sample_rate": context.sample_rate,
        **label_facts(stream),
        "end": _end(stream),
    }


def _end(stream: Any) -> float | None:
    """When the stream ends, in seconds from the start of the file. Matroska has it in a tag: "00:01:02.345000000"."""
    begin = (stream.container.start_time or 0) / av.time_base
    if stream.duration and stream.time_base:
        return max(0.0, float(((stream.start_time or 0) + stream.duration) * stream.time_base) - begin)
    if found := _TIME.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = (float(part) for part in found.groups())
        return max(0.0, hours * 3600 + minutes * 60 + seconds - begin)
    return None


def _subtitle(stream: Any) -> dict[str, Any]:
    return {
        "index": stream.index,
        "codec": stream.codec_context.codec.canonical_name,
        **label_facts(stream),
        "end": _end(stream),
    }


def _read_packets(number: int) -> list[StreamPackets]:
    os.lseek(number, 0, os.SEEK_SET)
    with _container(number) as container:
        streams = [StreamPackets(stream.type) for stream in container.streams]
        for packet in container.demux():
            if packet.size:
                streams[packet.stream_index].add(packet)
        return streams


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # to unload Python and ffmpeg's libraries would take a seventh of the whole time
