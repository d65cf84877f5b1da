"""The sound of HLS, encoded as AAC: each stream as a rendition of its own."""

from collections.abc import Sequence
from typing import Any

from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.verification import Expected
from ...hls.fragments import MEDIA_TYPE
from ...hls.packaged import pack_sound
from ..base import Output, Work
from .audio_filters import sound_filters
from .codecs import AUDIO, audio_encoder
from .hls_source import SOUND_FRAGMENTS, head_limit, shifted, sound_name
from .time_range import duration_of, output_limit


def encode_sounds(
    work: Work[Any], numbers: Sequence[int], shift: float | None, head: float | None = None
) -> list[Output]:
    """All of them, or their first seconds."""
    if not numbers:
        return []
    facts, codec = work.main.facts, AUDIO["aac"]
    sounds = {number: facts.audio[number] for number in numbers}
    paths = {number: work.folder / sound_name(number) for number in sounds}
    targets = [
        Target(
            paths[number],
            ("-map", f"0:{sound.index}", "-af", ",".join(sound_filters(codec.layouts)),
             *audio_encoder(codec, sound.channels), "-map_chapters", "-1", *head_limit(head),
             *SOUND_FRAGMENTS),
        )
        for number, sound in sounds.items()
    ]  # fmt: skip
    length = duration_of(facts, *sounds.values())
    source = Source(work.main.path, facts.format, () if shift is None else shifted(shift))
    command = Command([source], targets, threads=work.threads, max_duration=output_limit(length))
    work.tools.ffmpeg(command, seconds=length or facts.duration)
    for path in paths.values():
        pack_sound(path, is_head=head is not None)
    return [Output(path.name, path, "audio", MEDIA_TYPE, Expected(audio=1)) for path in paths.values()]
