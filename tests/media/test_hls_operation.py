"""The operation `hls`: which rendition a file gets and why, and that all of them have its times."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from media_jobs.errors import BadMedia, UnfitMedia
from media_jobs.hls.packaged import Packaged, read_packaged
from media_jobs.hls.playlists import Listed, media
from media_jobs.operations.base import Output
from tests.support.hls_rules import Sample, check_rendition, read_media_playlist
from tests.support.hls_streams import decoded, packets
from tests.support.operation_runs import Done, Operate

Clips = Callable[[str], Path]


def packaged(output: Output) -> tuple[Packaged, bytes]:
    content = output.path.read_bytes()
    return read_packaged(lambda start, size: content[start : start + size], len(content)), content


def samples(output: Output) -> list[Sample]:
    """What a player gets of a rendition, by the rules."""
    found, content = packaged(output)
    table = found.table
    lengths = [after - before for before, after in pairwise(table.times)]
    bounds = table.offsets.tolist()
    segments = [content[start:end] for start, end in pairwise(bounds)]
    listed = Listed(output.name, found.coding, found.language, lengths, list(map(len, segments)))
    return check_rendition(read_media_playlist(media(listed)), content[: bounds[0]], segments)


def assert_no_gap(of: list[Sample]) -> None:
    """Neither gap nor overlap, as they are decoded and as they are shown, also between segments and runs."""
    assert all(before.decoded + before.duration == after.decoded for before, after in pairwise(of))
    shown = sorted(of, key=lambda sample: sample.begin)
    assert all(before.begin + before.duration == after.begin for before, after in pairwise(shown))


def begins(output: Output) -> list[float]:
    return [float(begin) for begin in packaged(output)[0].table.times[:-1]]


def by_name(done: Done) -> dict[str, Output]:
    return {output.name: output for output in done.outputs}


@pytest.mark.parametrize("name", ["orderly.mkv", "orderly.ts", "ntsc.ts", "variable-rate.mkv", "orderly.flv"])
def test_other_containers_are_copied_and_lower_renditions_have_their_times(
    name: str, clips: Clips, operate: Operate
) -> None:
    done = operate("hls", name, heights=[48, 90, 2000])
    made = by_name(done)
    assert list(made) == ["video.mp4", "48p.mp4", "audio0.mp4"]
    assert done.message == "The picture and the sound are copied."

    source = sorted(packet.begin for packet in packets(clips(name), "video"))
    picture = samples(made["video.mp4"])
    times = sorted(float(sample.begin) for sample in picture)
    assert [time - times[0] for time in times] == pytest.approx([time - source[0] for time in source], abs=0.0011)
    assert _pictures(made["video.mp4"].path) == _pictures(clips(name))

    lower = samples(made["48p.mp4"])
    assert sorted(float(sample.begin) for sample in lower) == pytest.approx(times, abs=0.0001)
    assert_no_gap(lower)
    assert begins(made["48p.mp4"]) == pytest.approx(begins(made["video.mp4"]), abs=0.0001)

    sound = samples(made["audio0.mp4"])
    assert len(sound) == len(packets(clips(name), "audio"))
    offset = packets(clips(name), "audio")[0].begin - source[0]
    primed = 1024 / 44100 if name.endswith("mkv") else 0.0
    assert float(sound[0].begin) - primed - times[0] == pytest.approx(offset, abs=0.001)


def _pictures(path: Path) -> list[str]:
    """The hashes of the decoded pictures."""
    return [line.rpartition(",")[2].strip() for line in decoded(path).splitlines()]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open-gop.ts", "Encoded, because its GOPs are open."),
        ("few-key-frames.mp4", "Encoded, because its key frames are more than 12 seconds apart."),
        ("begins-in-a-gop.mp4", "Encoded, because its edit list hides its first frames."),
        ("late-picture.mkv", "Encoded, because its picture begins later than its sound."),
        ("hevc.mp4", "Encoded, because its picture is HEVC, not H.264."),
        ("slides.webm", "Encoded, because its picture is vp9, not H.264."),
        ("orderly.avi", "Encoded, because its time stamps are damaged."),
        ("begins-anew.ts", "Encoded, because its time stamps go backwards."),
        ("wrong-lengths.mkv", "Encoded, because its picture is damaged."),
    ],
)
def test_what_cannot_be_copied_is_encoded_and_says_why(name: str, message: str, operate: Operate) -> None:
    done = operate("hls", name, heights="48")
    made = by_name(done)
    assert done.message == message
    assert [output.name for output in done.outputs if output.kind == "audio"] == ["audio0.mp4"]
    low, high = (samples(output) for output in done.outputs if output.kind == "video")
    times = sorted(float(sample.begin) for sample in high)
    # Of a damaged picture, two frames may come at one time: the encoder may then put them a tick apart.
    assert sorted(float(sample.begin) for sample in low) == pytest.approx(times, abs=0.0001)
    assert float(low[0].begin) == 0
    assert_no_gap(low)
    assert samples(made["audio0.mp4"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("surround.mp4", "The sound is encoded, because it is ac3, not AAC."),
        ("late-sound.mkv", "The sound is encoded, because it begins late."),
    ],
)
def test_sound_alone_is_encoded_where_that_is_enough(name: str, message: str, clips: Clips, operate: Operate) -> None:
    done = operate("hls", name, heights="none")
    assert done.message == message
    assert [output.name for output in done.outputs] == ["video.mp4", "audio0.mp4"]
    assert len(samples(done.outputs[0])) == len(packets(clips(name), "video"))


def test_frames_that_cannot_be_decoded_are_left_out_of_lower_renditions(clips: Clips, operate: Operate) -> None:
    done = operate("hls", "wrong-lengths.mp4", heights=[48])
    frames = len(packets(clips("wrong-lengths.mp4"), "video"))
    assert [output.name for output in done.outputs] == ["48p.mp4"]
    assert 0.9 * frames <= len(samples(done.output)) < frames  # the decoder goes on at a later frame
    assert_no_gap(samples(done.output))


def test_a_file_that_plays_as_it_is_is_not_copied(clips: Clips, operate: Operate) -> None:
    assert operate("hls", "index-last.mp4", heights="none").outputs == []
    done = operate("hls", "ntsc.mp4", heights=[48])
    times = sorted(float(sample.begin) for sample in samples(done.output))
    assert times == pytest.approx([packet.begin for packet in sorted(
        packets(clips("ntsc.mp4"), "video"), key=lambda packet: packet.begin
    )], abs=0.0001)  # fmt: skip


def test_time_stamps_that_jump_by_days_are_refused(operate: Operate) -> None:
    with pytest.raises(UnfitMedia, match="may last 24 hours at most"):
        operate("hls", "leaps.mkv")
    with pytest.raises(BadMedia, match="timestamps jump"):
        operate("hls", "leaps-without-length.mkv")


def test_without_heights_the_ladder_is_below_the_original(operate: Operate) -> None:
    assert operate("hls", "index-last.mp4").outputs == []
