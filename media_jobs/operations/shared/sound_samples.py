"""Reads the sound of a file as 16-bit samples, rounded as audiowaveform and the libraries that it uses round them.

PCM, FLAC and all that audiowaveform does not read itself are converted by ffmpeg, as in `ffmpeg -i FILE -f wav -`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...ffmpeg.command import Command, PipeTarget, Source
from ...ffmpeg.probing.media_facts import AudioStream, Facts
from .audio_filters import sound_filters
from .peaks import Samples
from .time_range import count_from_file, likely_duration, output_limit

Floats = NDArray[np.float32]

# Files of these formats have sound alone, which begins at 0 and has no gaps. That of others may begin later.
_PLAIN = frozenset(
    {
        *("wav", "w64", "aiff", "au", "caf", "voc", "flac", "mp3", "aac", "ac3", "eac3", "dts", "amr", "tta", "ape"),
        *("mpc", "mpc8", "wv", "tak", "dsf"),
    }
)
# Containers that rarely have gaps, if they hold one sound stream alone. Filling gaps costs half as much as decoding.
_PLAIN_IF_ALONE = frozenset({"mov", "ogg"})
_MANY = "asetnsamples=n=16384:p=0"  # samples that ffmpeg writes at once: fewer would double its time
_LAYOUT = re.compile(r"[0-9A-Za-z.()]+")  # a layout with a name; others, such as "9 channels", are left as they are
_DECODER_DELAY = 529  # samples, of every MP3 decoder


def _truncated(values: Floats) -> Floats:
    scaled: Floats = np.trunc(values * np.float32(32767))
    return scaled


def _nearest(values: Floats) -> Floats:
    scaled: Floats = np.rint(values * np.float32(32767))
    return scaled


def _floor(values: Floats) -> Floats:
    """As for libmad's numbers: those at -1 or below become -32767."""
    scaled: Floats = np.floor(values * np.float32(32768))
    scaled[values <= -1] = -32767
    return scaled


@dataclass(frozen=True, slots=True)
class SampleReader:
    """How to read one sound stream."""

    source: Source
    sound: AudioStream
    filters: str
    duration: float | None
    rounding: Callable[[Floats], Floats] | None = None  # None: ffmpeg makes integers itself
    skipped: int = 0  # samples of each channel to leave out at the beginning

    @property
    def bytes_per_second(self) -> int:
        return self.sound.sample_rate * self.sound.channels * self._dtype.itemsize

    @property
    def _dtype(self) -> "np.dtype[np.int16] | np.dtype[np.float32]":
        return np.dtype("<i2") if self.rounding is None else np.dtype("<f4")

    def command(self, threads: int) -> Command:
        format = "s16le" if self.rounding is None else "f32le"
        options = ("-map", f"0:{self.sound.index}", "-af", self.filters, "-c:a", f"pcm_{format}")
        return Command(
            [self.source],
            [PipeTarget(format, options)],
            threads=threads,
            max_duration=output_limit(self.duration),
        )

    def into(self, feed: Callable[[Samples], object]) -> Callable[[bytes], None]:
        """A consumer of the command's output that passes whole samples to `feed`."""
        return _Cutter(self, feed, self._dtype, self.skipped).consume

    def rounded(self, values: "NDArray[np.int16] | Floats") -> Samples:
        if self.rounding is None:
            return values.astype(np.int16, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = self.rounding(values.astype(np.float32, copy=False))
        # Samples beyond full scale are clipped: what C makes of them is not defined.
        return np.clip(np.nan_to_num(scaled, copy=False), -32768, 32767).astype(np.int16)


@dataclass(slots=True)
class _Cutter:
    """Cuts pieces of any length into rows of one sample for each channel."""

    reader: SampleReader
    feed: Callable[[Samples], object]
    dtype: "np.dtype[np.int16] | np.dtype[np.float32]"
    skip: int
    _rest: bytes = b""

    def consume(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        row = self.reader.sound.channels * self.dtype.itemsize
        whole = len(data) // row * row
        self._rest = data[whole:]
        rows: Any = np.frombuffer(data[:whole], self.dtype).reshape(-1, self.reader.sound.channels)
        left_out = min(self.skip, len(rows))
        self.skip -= left_out
        if left_out < len(rows):
            self.feed(self.reader.rounded(rows[left_out:]))


def sample_reader(path: Path, facts: Facts, sound: AudioStream) -> SampleReader:
    length = likely_duration(facts, sound)
    filters = ",".join([*_gap_filters(facts), _steady(sound), _MANY])
    if facts.format == "mp3":
        source = Source(path, facts.format, ("-flags2", "+skip_manual"))
        return SampleReader(source, sound, filters, length, _floor, encoder_delay(path))
    source, rounding = Source(path, facts.format, count_from_file(facts, sound)), None
    if sound.codec in {"pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"}:
        rounding = _truncated
    elif sound.codec == "vorbis":
        rounding = _nearest
    return SampleReader(source, sound, filters, length, rounding)


def _gap_filters(facts: Facts) -> list[str]:
    """Silence before sound that begins later than the file, and in gaps: so each sample is at its time."""
    is_alone = facts.picture is None and len(facts.audio) == 1
    is_plain = facts.format in _PLAIN or (is_alone and facts.format in _PLAIN_IF_ALONE)
    return [] if is_plain else sound_filters("")


def _steady(sound: AudioStream) -> str:
    """One rate and one layout to the end: a broken or hostile stream may change them."""
    layout = f":channel_layouts={sound.layout}" if _LAYOUT.fullmatch(sound.layout) else ""
    return f"aformat=sample_rates={sound.sample_rate}{layout}"


def encoder_delay(path: Path) -> int:
    """The samples at the beginning of an MP3 that its encoder and every decoder add; 0 if it does not say.

    LAME and ffmpeg write it into the first frame, which has no sound: http://gabriel.mp3-tech.org/mp3infotag.html
    """
    with path.open("rb") as file:
        head = file.read(10)
        at = 0
        if head[:3] == b"ID3" and len(head) == 10:
            at = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        file.seek(at)
        frame = file.read(4096)
    start = frame.find(b"\xff")
    header = frame[start : start + 4]
    if start < 0 or len(header) < 4 or header[1] & 0xE6 != 0xE2:  # layer III
        return 0
    is_version_1, is_mono = header[1] & 0x18 == 0x18, header[3] >> 6 == 3
    side = (17 if is_mono else 32) if is_version_1 else (9 if is_mono else 17)
    tag = start + 4 + (0 if header[1] & 1 else 2) + side
    if frame[tag : tag + 4] not in {b"Xing", b"Info"} or frame[tag + 120 : tag + 124] not in {b"LAME", b"Lavc"}:
        return 0
    delay = frame[tag + 141 : tag + 143]
    return _DECODER_DELAY + (delay[0] << 4 | delay[1] >> 4) if len(delay) == 2 else 0
