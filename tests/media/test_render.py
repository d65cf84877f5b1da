"""The operation render: each clip has its place, its frames and its sound, whatever its file is like."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_jobs.errors import UnfitMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.command import Command, Source, Target
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work
from media_jobs.operations.rendering.joined_sound import SAMPLE_RATE
from media_jobs.operations.shared.audio_filters import measure_loudness, parse_loudness
from tests.support.media_checks import frame_count, loudness, similarity, times
from tests.support.renders import Render, Rendered, level, names, tone

KINDS = {".png": "image", ".wav": "audio", ".srt": "subtitle", ".vtt": "subtitle", ".ass": "subtitle"}


class WithoutFonts(Sandbox):
    """As on a machine that has no fonts."""

    def environment(self, home: Path) -> dict[str, str]:
        return {**super().environment(home), "FONTCONFIG_FILE": "/nowhere"}


@pytest.fixture
def render(clips: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Render:
    return renders(clips, sandbox, tmp_path)


@pytest.fixture
def render_without_fonts(clips: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Render:
    known = {each.name: getattr(sandbox, each.name) for each in fields(Sandbox)}
    return renders(clips, WithoutFonts(**known), tmp_path)


def renders(clips: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Render:
    numbers = count()

    def run(files: Sequence[str | Path], parts: Sequence[dict[str, Any]], /, **params: Any) -> Rendered:
        folder = tmp_path / f"work-{next(numbers)}"
        folder.mkdir()
        tools = Toolbox(find(), sandbox, folder, 1, lambda: None, lambda _: None)
        paths = [clips(file) if isinstance(file, str) else file for file in files]
        main, *others = [
            Input(path, path.name, KINDS.get(path.suffix, "video"), probe(path, sandbox)) for path in paths
        ]
        operation = get("render")
        params = {"quality": 30, "clips": parts, **params}
        work = Work(parse(operation, params), main, others, folder, tools, 1)
        outcome = operation.run(work)
        [output] = outcome.outputs
        found = tools.verify(output.path, output.expected)
        assert found is not None
        return Rendered(output.path, found, outcome.message)

    return run


def test_clips_of_all_kinds_have_their_place_to_the_frame(render: Render) -> None:
    done = render(
        ["red.mp4", "green.mkv", "blue.webm", "yellow.png"],
        [
            {"file": 0, "start": 0.52, "end": 1.52},
            {"file": 1, "start": 0.3, "end": 1.7},
            {"file": 3, "duration": 0.6},
            {"file": 2, "start": 0.5, "end": 1.3},
            {"file": 0, "start": 1.0},
        ],
    )
    [picture], [sound] = done.facts.video, done.facts.audio
    assert (picture.width, picture.height, picture.fps, sound.layout) == (160, 90, 25, "stereo")
    assert names(done.frames) == [("red", 25), ("green", 35), ("yellow", 15), ("blue", 20), ("red", 50)]
    found = times(done.path)
    assert found == pytest.approx([number / 25 for number in range(145)], abs=0.001)
    heard = done.sound
    spans = [(0.05, 0.95), (1.05, 2.35), (2.5, 2.9), (3.1, 3.7), (3.9, 5.75)]
    assert [tone(heard, *span) for span in spans] == [440, 880, 0, 0, 440]
    assert len(heard) / SAMPLE_RATE == pytest.approx(145 / 25, abs=0.03)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_clips_are_like_their_sources_at_the_usual_quality(
    render: Render, codec: str, clips: Callable[[str], Path]
) -> None:
    same = ["film.mp4", "film.mkv", "film.ts"]  # one film in three containers
    parts = [
        {"file": 0, "end": 0.5},
        {"file": 1, "start": 0.5, "end": 1.2},
        {"file": 2, "start": 1.2, "duration": 0.8},
    ]
    done = render(same, parts, codec=codec, quality="medium")
    source = clips("film.mp4")
    assert frame_count(done.path) == frame_count(source) == 60
    assert similarity(done.path, source) >= 0.95
    assert loudness(done.path) == pytest.approx(loudness(source), abs=0.5)


@pytest.mark.parametrize("name", ["counter.mp4", "counter.ts", "counter.mkv"])
def test_a_clip_begins_with_the_frame_that_is_shown_at_its_start(render: Render, name: str) -> None:
    done = render([name], [{"start": 0.9, "end": 1.3}, {"start": 0.05, "end": 0.25}], quality=8, fps=50)
    shown = [round((frame[1] * 219 / 255) / 4) for frame in done.frames]  # the number of each frame in the file
    first, second = shown[:20], shown[20:]
    assert first == pytest.approx([(45 + number) // 2 for number in range(20)], abs=1)
    assert second == pytest.approx([(2.5 + number) // 2 for number in range(10)], abs=1)


ODDITIES: dict[str, dict[str, Any]] = {
    "pq.mp4": {"start": 0.2, "end": 0.6},
    "rotated.mp4": {"start": 1, "end": 1.4},
    "halves.ts": {"start": 0.2, "end": 0.6},
    "uneven.mp4": {"start": 1.01, "duration": 0.4},
    "surround.mp4": {"start": 0.5, "end": 0.9},
    "stands-still.mkv": {"start": 100, "end": 100.4},
    "picture-ends-early.mkv": {"start": 2, "end": 2.4},
    "late-picture.mkv": {"start": 0.5, "end": 0.9},
}


def test_oddities_of_files_change_no_count_of_frames(render: Render) -> None:
    clips = [{"file": number, **clip} for number, clip in enumerate(ODDITIES.values())]
    done = render(list(ODDITIES), clips, fps=25, width=160, height=90)
    frames = done.frames
    assert len(frames) == 10 * len(ODDITIES)
    assert [name for number, name in enumerate(ODDITIES) if sum(frames[10 * number + 5]) < 60] == []  # none is black
    assert len(done.sound) / SAMPLE_RATE == pytest.approx(0.4 * len(ODDITIES), abs=0.03)


@pytest.mark.parametrize(("codec", "name"), [("hevc", "video.mp4"), ("vp9", "video.webm"), ("av1", "video.webm")])
def test_every_codec_joins_clips_of_one_frame_and_of_many(render: Render, codec: str, name: str) -> None:
    clips: list[dict[str, Any]] = [{"end": 0.04}, {"file": 1, "end": 0.6}, {"end": 0.04}, {"file": 1, "end": 0.2}]
    done = render(["red.mp4", "green.mkv"], clips, codec=codec, fit="crop", quality=40)
    assert (done.path.name, done.facts.video[0].codec) == (name, codec)
    assert names(done.frames) == [("red", 1), ("green", 15), ("red", 1), ("green", 5)]
    assert times(done.path) == pytest.approx([number / 25 for number in range(22)], abs=0.002)


def test_the_rate_of_television_stays_exact(render: Render) -> None:
    done = render(["red.mp4", "green.mkv"], [{"end": 1}, {"file": 1, "end": 1}], fps=29.97, audio="none")
    assert times(done.path) == pytest.approx([number * 1001 / 30000 for number in range(60)], abs=0.00002)
    assert done.facts.audio == []


def test_clips_fade_to_black_and_to_silence(render: Render) -> None:
    done = render(["red.mp4"], [{"end": 1, "fade_in": 0.4, "fade_out": 0.2}, {"end": 0.4}])
    reds = [frame[0] for frame in done.frames]
    assert reds[0] < 10
    assert reds[:11] == sorted(reds[:11])
    assert min(reds[10:20]) > 200
    assert reds[20:25] == sorted(reds[20:25], reverse=True)
    assert reds[24] < 70
    assert min(reds[25:]) > 200
    heard = done.sound
    assert level(heard, 0.02, 0.1, 440) < level(heard, 0.5, 0.7, 440) - 10
    assert level(heard, 0.96, 1, 440) < level(heard, 0.5, 0.7, 440) - 10


@pytest.mark.parametrize("mode", ["replace", "mix", "duck"])
def test_a_soundtrack_replaces_the_sound_or_is_mixed_under_it(render: Render, mode: str) -> None:
    clips: list[dict[str, Any]] = [{"end": 1}, {"file": 1, "duration": 1}, {"end": 0.5}]
    done = render(
        ["red.mp4", "yellow.png", "deep.wav"], clips, soundtrack=2, soundtrack_mode=mode, soundtrack_volume=-6
    )
    heard = done.sound
    loud, pause = level(heard, 0.3, 0.9, 220), level(heard, 1.6, 1.95, 220)
    if mode == "replace":
        assert level(heard, 0.3, 0.9, 440) < -60
    else:
        assert level(heard, 0.3, 0.9, 440) == pytest.approx(-18, abs=1.5)
    assert pause == pytest.approx(-24, abs=1.5)
    assert pause - loud == pytest.approx(10 if mode == "duck" else 0, abs=4 if mode == "duck" else 1)
    assert level(heard, 2.1, 2.4, 220) < -60  # it has ended
    assert tone(heard, 2.1, 2.4) == (0 if mode == "replace" else 440)


def test_a_soundtrack_starts_where_it_should_and_is_repeated(render: Render) -> None:
    clips: list[dict[str, Any]] = [{"file": 0, "duration": 5}]
    done = render(
        ["yellow.png", "deep.wav"], clips, soundtrack=1, soundtrack_start=1, soundtrack_loop=True, fps=5, width=160
    )
    assert tone(done.sound, 4, 4.9) == 220


def test_the_loudness_is_met_by_the_same_meter(render: Render, sandbox: Sandbox, tmp_path: Path) -> None:
    clips: list[dict[str, Any]] = [{"end": 2.4}, {"file": 1, "end": 2}]
    done = render(["red.mp4", "green.mkv"], clips, loudness=-16)
    tools = Toolbox(find(), sandbox, tmp_path, 1, lambda: None, lambda _: None)
    measure = Target(None, ("-map", "0:a", "-af", measure_loudness(-16)))
    log = tools.ffmpeg(Command([Source(done.path, "mov")], [measure], verbose=True))
    assert parse_loudness(log).integrated == pytest.approx(-16, abs=0.5)
    assert done.message == ""


def bright_rows(picture: Any) -> list[int]:
    """The rows of a frame that have bright pixels."""
    return [int(row) for row in np.flatnonzero((picture > 150).any(axis=1))]


SRT = "1\n00:00:00,400 --> 00:00:00,800\nGrüße <i>an</i> {\\fnComic Sans MS}alle\n"
VTT = "WEBVTT\n\n00:00.400 --> 00:00.800 line:0\nGr\u00fc\u00dfe <b>an</b> alle &amp; dich\n"
ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 320
PlayResY: 180
[Fonts]
fontname: evil.ttf
!!!!!!!!!!!!!!!!!!!!
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment, MarginV
Style: Big,/etc/passwd,40,&H00FFFFFF,2,10
[Events]
Format: Layer, Start, End, Style, Text
Dialogue: 0,0:00:00.40,0:00:00.80,Big,{\\fnWingdings}Grüße, alle
"""


@pytest.mark.parametrize(
    ("name", "content", "style"),
    [
        ("utf8.srt", SRT.encode(), {}),
        ("latin.srt", SRT.encode("latin-1"), {}),
        ("utf16.srt", SRT.encode("utf-16"), {"box": True, "bold": True, "italic": True}),
        ("words.vtt", VTT.encode(), {"align": "left"}),
        ("words.ass", ASS.encode(), {}),
    ],
    ids=["utf-8", "latin-1", "utf-16", "vtt", "ass"],
)
def test_subtitles_are_drawn_without_any_font_of_the_system(
    render_without_fonts: Render, tmp_path: Path, name: str, content: bytes, style: dict[str, Any]
) -> None:
    words = tmp_path / name
    words.write_bytes(content)
    clips: list[dict[str, Any]] = [{"file": 1, "end": 0.6}, {"file": 1, "start": 1, "end": 1.4}]
    more: dict[str, Any] = {"style": {"size": 12, **style}, "width": 320, "height": 180, "quality": 20, "fps": 10}
    done = render_without_fonts([words, "blue.webm"], clips, subtitles=0, **more)
    assert [bool(bright_rows(done.picture(at))) for at in (0.2, 0.5, 0.7, 0.9)] == [False, True, True, False]
    rows = bright_rows(done.picture(0.5))
    assert min(rows) > 90  # at the bottom
    assert 8 < max(rows) - min(rows) < 45


def test_the_style_of_subtitles_is_what_was_asked_for(render: Render, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:09,000\nHHHH\n")
    style = {"position": "top", "align": "left", "colour": "#00ff00", "size": 20, "outline": 0}
    done = render([words, "red.mp4"], [{"file": 1, "end": 0.2}], subtitles=0, style=style, quality=10)
    raw = done.coloured(0.08)
    green = (raw[..., 1] > 150) & (raw[..., 0] < 120)
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    assert max(rows) < 40
    assert max(columns) < 100
    assert 9 <= max(rows) - min(rows) < 18


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1\n00:00:00,000 --> 00:00:09,000\n中文\n", "No font of the worker has these characters"),
        ("[Script Info]\n[Events]\nDialogue: nonsense\n", "The subtitles have no lines"),
    ],
    ids=["missing font", "no line"],
)
def test_subtitles_that_cannot_be_drawn_are_a_clear_error(
    render_without_fonts: Render, tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "words.srt"
    path.write_text(content)
    with pytest.raises(UnfitMedia, match=words):
        render_without_fonts([path, "red.mp4"], [{"file": 1, "end": 0.2}], subtitles=0)
