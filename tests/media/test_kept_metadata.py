"""Tags, chapters, languages and cover art that audio and transcode keep or drop, in each container."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_jobs.errors import UnfitMedia
from media_jobs.ffmpeg.probing.media_facts import Facts
from tests.support.media_labels import CHAPTERS, TAGS, labelled
from tests.support.operation_runs import Operate

from ..support.media_checks import channel_peaks, decoded, subtitle_lines
from ..support.renders import tone
from ..support.troubled_clips import with_subtitles

FILM, VORBIS, STUDIO, LOADED, TRACKS = "labelled.mp4", "vorbis.mp4", "labelled.mkv", "loaded.mkv", "tracks.mkv"
WHOLE = [(0, 1, "Opening"), (1, 2, "Storm"), (2, 3, "End")]
SMALL: dict[str, Any] = {"codec": "vp9", "height": 16}
# What each format has room for.
CHAPTERS_IN, COVERS_IN, LANGUAGES_IN = {"mp3", "aac", "opus"}, {"mp3", "aac", "flac", "opus"}, {"aac", "opus"}


@pytest.fixture(autouse=True, scope="module")
def _films(clips: Callable[[str], Path]) -> None:
    """Beside the other clips, where `operate` finds them."""
    folder = clips("click.wav").parent
    for name, options, tags in [
        (FILM, ("-timecode", "01:00:00:20"), {}),
        (VORBIS, ("-c:a", "libvorbis"), {}),
        (STUDIO, ("-c:a", "pcm_s16le", "-timecode", "01:00:00:20"), {}),
        (LOADED, (), {f"tag{number}": "y" * 100_000 for number in range(200)}),
    ]:
        if not (folder / name).exists():
            labelled(folder / f"part-{name}", *options, **tags).rename(folder / name)
    if not (folder / TRACKS).exists():
        with_subtitles(folder / STUDIO, folder / f"part-{TRACKS}", "eng", "deu").rename(folder / TRACKS)


def picture(path: Path, stream: str) -> bytes:
    """The pixels of the first frame."""
    return decoded(path, "-map", stream, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo")


def chapters(facts: Facts) -> list[tuple[float, float, str]]:
    return [(round(each.start, 1), round(each.end, 1), each.title) for each in facts.chapters]


@pytest.mark.parametrize("format", ["mp3", "aac", "opus", "flac", "wav"])
def test_an_audio_file_keeps_what_its_format_has_room_for(
    operate: Operate, format: str, clips: Callable[[str], Path]
) -> None:
    done = operate("audio", FILM, format=format)
    made = done.made
    assert (made.title, made.tags["artist"], made.tags["date"]) == ("A film", "Somebody", "2024")
    assert [each.title for each in made.chapters] == (CHAPTERS if format in CHAPTERS_IN else [])
    assert [each.start for each in made.chapters] == pytest.approx([0, 1, 2][: made.chapter_count], abs=0.001)
    assert [cover.codec for cover in made.video] == (["png"] if format in COVERS_IN else [])
    assert all(picture(done.output.path, f"0:{cover.index}") == picture(clips(FILM), "0:v:1") for cover in made.video)
    assert made.audio[0].language == ("eng" if format in LANGUAGES_IN else "")


@pytest.mark.parametrize(
    ("clip", "params", "name"),
    [
        (FILM, {"height": 64}, "video.mp4"),
        (FILM, {"codec": "hevc", "height": 64}, "video.mp4"),
        (FILM, SMALL, "video.webm"),
        (VORBIS, {"audio": "copy", "height": 64}, "video.mkv"),
    ],
)
def test_a_video_keeps_them_too(operate: Operate, clip: str, params: dict[str, Any], name: str) -> None:
    done = operate("transcode", clip, **params)
    made = done.made
    assert done.output.name == name
    assert (made.title, made.tags["artist"], made.chapter_count) == ("A film", "Somebody", 3)
    assert chapters(made) == WHOLE
    [sound] = made.audio
    assert (sound.language, sound.title) == ("eng", "Original sound")
    assert "default" in sound.dispositions
    assert ("comment" in sound.dispositions) == (name != "video.webm")  # which has no place for it
    assert [stream.is_picture for stream in made.video] == ([False] if name == "video.webm" else [False, True])
    assert made.timecode == ("01:00:00:20" if name == "video.mp4" else "")
    assert "major_brand" not in made.tags


@pytest.mark.parametrize(
    ("params", "name", "codecs", "words"),
    [
        ({"height": 64}, "video.mp4", ["aac", "mov_text"], [(1, 3, "Hello")]),
        ({"height": 64, "start": 0.5}, "video.mp4", ["aac", "mov_text"], [(0.5, 2.5, "Hello")]),
        (SMALL, "video.webm", ["opus", "webvtt"], [(1, 3, "Hello")]),
        ({"height": 64, "audio": "copy"}, "video.mkv", ["pcm_s16le", "subrip"], [(1, 3, "Hello")]),
    ],
)
def test_all_tracks_are_kept_where_they_are_wanted(
    operate: Operate, params: dict[str, Any], name: str, codecs: list[str], words: list[tuple[float, float, str]]
) -> None:
    done = operate("transcode", TRACKS, tracks="all", **params)
    made, path = done.made, done.output.path
    assert path.name == name
    assert [(sound.codec, sound.language) for sound in made.audio] == [(codecs[0], "eng"), (codecs[0], "fra")]
    assert [(each.codec, each.language) for each in made.subtitles] == [(codecs[1], "eng"), (codecs[1], "deu")]
    assert made.audio[0].title == "Original sound"
    heard = [decoded(path, "-map", f"0:a:{number}", "-ac", "1", "-ar", "48000", "-f", "f32le") for number in (0, 1)]
    assert [tone(np.frombuffer(each, np.float32), 0.5, 1.5) for each in heard] == [440, 880]
    assert [subtitle_lines(path, number) for number in (0, 1)] == [words, words]


@pytest.mark.parametrize(
    ("operation", "params", "timecode"),
    [
        ("audio", {"format": "aac"}, ""),
        ("transcode", SMALL, ""),
        ("transcode", {"height": 16}, "01:00:01:08"),  # the frame that begins at 0.52 s
        ("transcode", {"height": 16, "fps": 50}, "01:00:01:16"),
    ],
)
def test_chapters_and_the_time_code_of_a_part_are_moved(
    operate: Operate, operation: str, params: dict[str, Any], timecode: str
) -> None:
    made = operate(operation, FILM, start=0.5, end=2.2, **params).made
    assert made.timecode == timecode
    assert chapters(made) == [(0, 0.5, "Opening"), (0.5, 1.5, "Storm"), (1.5, 1.7, "End")]
    assert made.duration == pytest.approx(1.7, abs=0.1)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        *(("audio", {"format": format}) for format in ("mp3", "aac", "opus", "flac", "wav")),
        ("transcode", {"height": 64}),
        ("transcode", SMALL),
    ],
)
def test_nothing_is_left_where_metadata_is_dropped(operate: Operate, operation: str, params: dict[str, Any]) -> None:
    done = operate(operation, FILM, metadata="drop", **params)
    made = done.made
    assert (made.title, made.timecode, made.chapters) == ("", "", [])
    assert len(made.video) == int(operation == "transcode")
    assert set(made.tags) <= {"encoder"}  # some formats need one: it is “Lavf”, without a version
    assert all(not (sound.language or sound.title) for sound in made.audio)
    content = done.output.path.read_bytes()
    for value in (*TAGS.values(), *CHAPTERS, "Original sound"):
        assert value.encode() not in content, value
    assert not re.search(rb"Lav[cf]\d", content)


@pytest.mark.parametrize("format", ["flac", "opus"])
def test_twenty_megabytes_of_tags_are_not_copied(operate: Operate, format: str) -> None:
    done = operate("audio", LOADED, format=format)
    assert done.output.path.stat().st_size < 500_000
    assert done.made.title == "A film"


@pytest.mark.parametrize(
    ("channels", "peaks"),
    [
        # The left channel has -20 dB, the others nothing. The sum of all must not be too loud, with the weights of
        # centre and surrounds that AC-3 names; mono is the mean of left and right.
        (None, [-20, *[None] * 5]),
        ("stereo", [-26.4, None]),
        ("mono", [-32.4]),
        ("left", [-20]),
        ("right", [None]),
    ],
)
def test_channels_are_mixed_with_the_usual_weights(
    operate: Operate, channels: str | None, peaks: list[float | None]
) -> None:
    done = operate("audio", "surround.mkv", format="wav", channels=channels)
    found = channel_peaks(done.output.path)
    assert len(found) == len(peaks)
    for peak, wanted in zip(found, peaks, strict=True):
        assert peak == pytest.approx(wanted, abs=0.7) if wanted is not None else peak < -60


@pytest.mark.parametrize(("channels", "count"), [("stereo", 2), ("5.1", 6), ("left", 1), (1, 1)])
def test_a_video_has_the_channels_that_are_wanted(operate: Operate, channels: str | int, count: int) -> None:
    assert operate("transcode", FILM, channels=channels, **SMALL).made.audio[0].channels == count


def test_the_right_channel_of_mono_is_refused(operate: Operate) -> None:
    with pytest.raises(UnfitMedia, match="one channel only"):
        operate("audio", FILM, channels="right")
