"""HLS without a copy: what a player gets from the segments is what the source has, packet for packet."""

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from media_jobs.hls import fragments, playlists
from media_jobs.hls.errors import Unsuitable
from media_jobs.hls.movie import Read, read_movie
from media_jobs.hls.playlists import Listed
from media_jobs.hls.segments import Index, Rendition, cut
from tests.support.hls_streams import decoded, packets

Clips = Callable[[str], Path]
PLAYABLE = [
    "index-last.mp4", "faststart.mp4", "camera.mov", "ntsc.mp4", "variable-rate.mp4", "negative-offsets.mp4",
    "two-languages.mp4", "wide-and-silent.mp4", "turned.mp4", "one-frame.mp4", "film.mp4",
]  # fmt: skip


def reader(path: Path) -> Read:
    content = path.read_bytes()
    return lambda start, size: content[start : start + size]


def index_of(path: Path) -> Index:
    return cut(read_movie(reader(path), path.stat().st_size))


def master(index: Index) -> str:
    picture, *sounds = (Listed.of(name, rendition) for name, rendition in index.named.items())
    return playlists.master([picture], sounds)


def write_rendition(rendition: Rendition, source: Path, target: Path) -> Path:
    """All of a rendition in one file, as a player puts it together."""
    content = source.read_bytes()
    with target.open("wb") as file:
        file.write(fragments.init_segment(rendition))
        for number in range(len(rendition)):
            found = fragments.segment(rendition, number)
            written = file.write(found.head) + sum(file.write(content[start:end]) for start, end in found.ranges)
            assert written == found.size
    return target


@pytest.mark.parametrize("name", PLAYABLE)
def test_every_packet_of_the_source_is_there_at_its_time(name: str, clips: Clips, tmp_path: Path) -> None:
    source = clips(name)
    index = index_of(source)
    made = write_rendition(index.video, source, tmp_path / "video.mp4")
    assert packets(made, "video") == packets(source, "video")
    assert decoded(made) == decoded(source)
    for number, rendition in enumerate(index.audio):
        made = write_rendition(rendition, source, tmp_path / f"audio{number}.mp4")
        assert packets(made, "audio") == packets(source, "audio", number)


@pytest.mark.parametrize("name", PLAYABLE)
def test_each_segment_plays_alone_from_its_first_picture(name: str, clips: Clips, tmp_path: Path) -> None:
    source = clips(name)
    content, rendition = source.read_bytes(), index_of(source).video
    begin = 0.0
    for number, length in enumerate(rendition.durations):
        found = fragments.segment(rendition, number)
        pieces = [found.head, *(content[start:end] for start, end in found.ranges)]
        alone = tmp_path / f"{number}.mp4"
        alone.write_bytes(fragments.init_segment(rendition) + b"".join(pieces))
        decoded(alone)
        first = min(packet.begin for packet in packets(alone, "video"))
        assert first == pytest.approx(begin, abs=0.001)
        begin += float(length)


def test_segments_last_about_four_seconds_and_begin_at_key_frames(clips: Clips) -> None:
    index = index_of(clips("index-last.mp4"))
    assert [float(length) for length in index.video.durations] == [4, 4, 4, 2]
    assert len(index.audio[0]) == 4


def test_sound_that_ends_early_has_fewer_segments(clips: Clips) -> None:
    index = index_of(clips("two-languages.mp4"))
    assert [len(rendition) for rendition in index.audio] == [4, 3]
    assert 'LANGUAGE="eng",DEFAULT=YES' in master(index)
    assert 'LANGUAGE="fra",DEFAULT=NO' in master(index)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("few-key-frames.mp4", "its key frames are more than 12 seconds apart"),
        ("open-gop.mp4", "its GOPs are open"),
        ("begins-in-a-gop.mp4", "its edit list hides its first frames"),
        ("fragmented.mp4", "it is fragmented already"),
        ("hevc.mp4", "its picture is HEVC, not H.264"),
        ("surround.mp4", "its sound is AC-3, not AAC"),
        ("only-sound.mp4", "it has no picture"),
        ("studio.mov", "its picture is jpeg, not H.264"),
        ("cut.mp4", "its end is missing"),
        ("cut-before-its-index.mp4", "its end is missing"),
        ("film.mkv", "it is no MP4 or MOV"),
    ],
)
def test_a_file_that_cannot_be_played_as_it_is_is_refused_with_the_reason(
    name: str, reason: str, clips: Clips
) -> None:
    with pytest.raises(Unsuitable, match=reason):
        index_of(clips(name))


def test_playlists_are_as_rfc_8216_wants_them(clips: Clips) -> None:
    index = index_of(clips("variable-rate.mp4"))
    lines = playlists.media(Listed.of("video", index.video)).splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "#EXT-X-ENDLIST"
    lengths = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
    [target] = [int(line.partition(":")[2]) for line in lines if line.startswith("#EXT-X-TARGETDURATION")]
    assert max(lengths) <= target < max(lengths) + 1
    assert sum(lengths) == pytest.approx(float(sum(index.video.durations)), abs=0.001)
    names = [line for line in lines if not line.startswith("#")]
    assert names == [f"video/{number}.m4s" for number in range(len(lengths))]
    peak, average = Listed.of("video", index.video).bit_rates
    assert peak >= average > 0


def test_no_hostile_table_takes_memory_or_another_error(clips: Clips) -> None:
    """Each 32-bit number of the index, replaced by large ones."""
    source = clips("film.mp4")
    content = source.read_bytes()
    begin = content.rindex(b"moov")
    damaged = bytearray(content)

    def read(start: int, size: int) -> bytes:
        return bytes(damaged[start : start + size])

    for at in range(begin, len(content) - 4, 2):
        for value in (0xFFFFFFFF, 0x7FFFFFFF):
            damaged[:] = content
            struct.pack_into(">I", damaged, at, value)
            try:
                index = cut(read_movie(read, len(damaged)))
            except Unsuitable:
                continue
            for rendition in (index.video, *index.audio):
                fragments.init_segment(rendition)
                for number in range(len(rendition)):
                    found = fragments.segment(rendition, number)
                    assert all(0 <= start <= end <= len(damaged) for start, end in found.ranges)
            master(index)


def test_ranges_are_joined_and_ascend(clips: Clips) -> None:
    rendition = index_of(clips("wide-and-silent.mp4")).video
    for number in range(len(rendition)):
        found = fragments.segment(rendition, number).ranges
        assert all(before[1] < after[0] for before, after in pairwise(found))
