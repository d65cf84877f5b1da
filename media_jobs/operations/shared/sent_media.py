"""Prepares what a model server is sent. ffmpeg writes sound and frames to the work folder: the length is then known.

The request begins when all is there. So ffmpeg need not wait for a slow server, a model server needs no
"Transfer-Encoding: chunked", and a WAV has the right sizes in its header.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import BadMedia, UnfitMedia
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import Facts
from ...prediction.sent_content import Body, SentContent
from ..base import Work
from .audio_filters import mono_samples
from .still_images import FORMATS, require_picture
from .time_range import count_from_file, likely_duration, output_limit
from .video_filters import fit_size, scale_filter, tone_map_filters

PREPARED = 0.4  # of the progress
MAX_FRAMES = 100_000
_MAX_WAV = (1 << 32) - 4096  # bytes: the sizes in a WAV have 32 bits
_SAMPLE = 2  # bytes
_MILLISECONDS = re.compile(r"frame(\d+)\.jpg", re.ASCII)


def require_fit(content: SentContent, kind: str, facts: Facts) -> None:
    """Raise UnfitMedia if the file has no sound or picture to send, or too much of it."""
    if content.form == "wav":
        if not facts.audio:
            raise UnfitMedia("This file has no sound to send.")
        if (_sound_length(facts) or 0.0) * content.rate * _SAMPLE > _MAX_WAV:
            raise UnfitMedia("The sound of this file is too long for a WAV at the rate of this model server.")
    if content.form == "frames":
        require_picture(facts)
        if kind != "image" and (_length(facts) or 0.0) * content.rate > MAX_FRAMES:
            raise UnfitMedia(f"This file has more than {MAX_FRAMES} frames at the rate of this model server.")


def prepared(work: Work[Any], content: SentContent) -> Body:
    facts = work.main.facts
    require_fit(content, work.main.kind, facts)
    match content.form:
        case "wav":
            return Body("audio/wav", [_wav(work, content.rate)])
        case "frames":
            return _form(list(_frames(work, content.rate)))
    return Body(work.main.media_type or "application/octet-stream", [work.main.path])


def _wav(work: Work[Any], rate: float) -> Path:
    facts, path = work.main.facts, work.folder / "sound.wav"
    sound, length = facts.audio[0], _sound_length(facts)
    options = ("-map", f"0:{sound.index}", "-af", ",".join(mono_samples(rate)), "-c:a", "pcm_s16le")
    plain = ("-map_metadata", "-1", "-fflags", "+bitexact", "-f", "wav")
    source = Source(work.main.path, facts.format, count_from_file(facts, sound))
    target = Target(path, (*options, *plain))
    command = Command([source], [target], threads=work.threads, max_duration=output_limit(length))
    work.tools.ffmpeg(command, seconds=length, share=(0.0, PREPARED), verb="Prepared")
    return path


def _frames(work: Work[Any], rate: float) -> Iterator[tuple[float, Path]]:
    """The first frame at or after each multiple of 1 / rate, with its time in seconds. Gaps are not filled."""
    facts, folder = work.main.facts, work.folder / "frames"
    folder.mkdir()
    stream, length, jpeg = require_picture(facts), _length(facts), FORMATS["jpg"]
    is_next = f"gt(floor(t*{rate:g}+0.001),floor(prev_selected_t*{rate:g}+0.001))"
    filters = [
        f"select='isnan(prev_selected_t)+{is_next}'",
        scale_filter(stream, fit_size(stream), full_range=True),
        *tone_map_filters(stream, full_range=True),
        f"format={jpeg.pixels}",
    ]
    options = (
        "-map", f"0:{stream.index}", "-vf", ",".join(filters), "-fps_mode", "passthrough", "-enc_time_base", "1/1000",
        "-frames:v", str(MAX_FRAMES), *jpeg.options, "-f", "image2", "-frame_pts", "1",
    )  # fmt: skip
    target = Target(folder / "frame%d.jpg", options)
    source = Source(work.main.path, facts.format, count_from_file(facts, stream), stream.pixels)
    command = Command([source], [target], threads=work.threads, max_duration=output_limit(length))
    work.tools.ffmpeg(command, seconds=length, share=(0.0, PREPARED), verb="Prepared")
    found = sorted((int(name[1]), path) for path in folder.iterdir() if (name := _MILLISECONDS.fullmatch(path.name)))
    if not found:
        raise BadMedia("No picture can be read from this file: it is damaged or cut off.")
    yield from ((milliseconds / 1000, path) for milliseconds, path in found)


def _form(frames: list[tuple[float, Path]]) -> Body:
    """A form with a field `frame` for each frame. Its file name is the time in seconds: 12.500.jpg."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes | Path] = []
    for seconds, path in frames:
        disposition = f'Content-Disposition: form-data; name="frame"; filename="{seconds:.3f}.jpg"'
        head = f"--{boundary}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
        pieces += [head.encode(), path, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", pieces)


def _sound_length(facts: Facts) -> float | None:
    return likely_duration(facts, facts.audio[0])


def _length(facts: Facts) -> float | None:
    return likely_duration(facts, require_picture(facts))
