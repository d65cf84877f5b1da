"""The sound of a render: the joined sound of its clips, and a soundtrack instead of it or under it."""

from collections.abc import Sequence
from pathlib import Path

from ...ffmpeg.command import Source
from ..base import Input
from ..shared.audio_filters import sound_filters
from ..shared.time_range import seek_option
from .joined_sound import SAMPLE_RATE
from .parameters import RenderParams

# As measured on speech over music: the soundtrack is some 12 dB quieter while the clips are loud.
_DUCK = "sidechaincompress=threshold=0.03:ratio=8:attack=20:release=400"
_LIMIT = "alimiter=limit=0.89:level=0"
_SAME = f"aformat=sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo"


class SoundMix:
    """The sources and the filters that make it. `first` is the number of the first source in the command."""

    def __init__(self, params: RenderParams, clips: Path | None, samples: int, soundtrack: Input | None) -> None:
        """`clips`: the sound of all clips, an AU file; None if the soundtrack replaces it."""
        self.params, self.clips, self.samples, self.soundtrack = params, clips, samples, soundtrack

    @property
    def sources(self) -> list[Source]:
        return [*([Source(self.clips, "au")] if self.clips else []), *([self._source()] if self.soundtrack else [])]

    def _source(self) -> Source:
        assert self.soundtrack is not None
        loop = ("-stream_loop", "-1") if self.params.soundtrack_loop else ()
        options = (*loop, *seek_option(self.params.soundtrack_start))
        return Source(self.soundtrack.path, self.soundtrack.facts.format, options)

    def graph(self, first: int, after: Sequence[str] = ()) -> str:
        """The filters, whose result is [sound]. `after`: filters of the whole, such as loudness."""
        end = ",".join(["apad", f"atrim=end_sample={self.samples}", "asetpts=N/SR/TB", *after])
        clips = [f"[{first}:a]{_SAME}[clips]"] if self.clips else []
        parts = [*clips, *self._under(first + len(clips))]
        if not self.soundtrack:
            return ";".join([*parts, f"[clips]{end}[sound]"])
        if not self.clips:
            return ";".join([*parts, f"[track]{end}[sound]"])
        return ";".join([*parts, *self._mixed(end)])

    def _under(self, source: int) -> list[str]:
        if self.soundtrack is None:
            return []
        stream = self.soundtrack.facts.audio[0].index
        volume = f"volume={self.params.soundtrack_volume:.2f}dB"
        filters = ",".join([*sound_filters("stereo"), _SAME, volume, f"atrim=end_sample={self.samples}"])
        return [f"[{source}:{stream}]{filters}[track]"]

    def _mixed(self, end: str) -> list[str]:
        mix = f"amix=inputs=2:normalize=0:duration=first,{_LIMIT},{end}[sound]"
        if self.params.soundtrack_mode == "mix":
            return [f"[clips][track]{mix}"]
        # Padded: sidechaincompress ends with the shorter of its inputs.
        return ["[clips]asplit[voice][key]", f"[track]apad[long];[long][key]{_DUCK}[low]", f"[voice][low]{mix}"]
