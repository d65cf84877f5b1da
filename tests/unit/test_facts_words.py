"""Facts in the words of people."""

from typing import Any

import pytest

from media_jobs.admin.media_info import clock, media_info, media_notes, rate
from media_jobs.ffmpeg.probing.media_facts import (
    AudioStream,
    Chapter,
    Facts,
    SubtitleStream,
    VideoStream,
    current_facts,
    stored_facts,
)
from media_jobs.ffmpeg.probing.notes import NOTES
from tests.support.preloaded_processes import ROOT


def video(**changed: Any) -> VideoStream:
    said = {"index": 0, "codec": "h264", "width": 1920, "height": 1080, "coded_width": 1920, "coded_height": 1080}
    return VideoStream.model_validate(said | {"fps": 30000 / 1001} | changed)


def audio(**changed: Any) -> AudioStream:
    said = {"index": 1, "codec": "aac", "channels": 6, "layout": "5.1", "sample_rate": 48000}
    return AudioStream.model_validate(said | changed)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (3, "3.0 s"), (12.3, "0:12"), (59.7, "1:00"), (243.2, "4:03"), (3723, "1:02:03")],
)
def test_a_length_reads_as_a_clock(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize(("bits", "words"), [(128_000, "128 kbit/s"), (3_205_528, "3.2 Mbit/s")])
def test_a_rate_reads_as_people_say_it(bits: int, words: str) -> None:
    assert rate(bits) == words


def shown(facts: Facts, kind: str) -> dict[str, dict[str, str]]:
    return {group.title: dict(group.rows) for group in media_info(facts, kind)}


def test_a_film_says_what_people_ask_for() -> None:
    facts = Facts(
        format="mov", duration=243.2, bit_rate=8_000_000, title="A <film>", index="last", timecode="01:00:00:00",
        video=[video(
            rotation=90, hdr="pq", bit_depth=10, profile="Main 10", display_aspect="16:9", sample_aspect="4:3",
            mastering_luminance=(0.005, 1000), max_content_light=1000, max_average_light=400, is_dolby_vision=True,
            field_order="top", pixel_format="yuv420p10le", color_primaries="bt2020",
        )],
        audio=[
            audio(language="eng", profile="LC", bit_rate=128_000, dispositions=["default"]),
            audio(codec="opus", channels=2, layout="stereo", language="deu", title="Kommentar"),
        ],
        subtitles=[SubtitleStream(index=3, codec="mov_text", language="fra", dispositions=["forced"])],
        chapters=[Chapter(start=0, end=60), Chapter(start=61.5, end=3700, title="Storm")], chapter_count=3,
        tags={"artist": "Somebody"},
    )  # fmt: skip
    assert shown(facts, "video") == {
        "": {
            "Title": "A <film>",
            "Duration": "4:03",
            "Bitrate": "8.0 Mbit/s",
            "Format": "mov",
            "Index": "at the end",
            "Timecode": "01:00:00:00",
        },
        "Picture": {
            "Size": "1920×1080",
            "Codec": "H.264, Main 10",
            "Frame rate": "29.97 fps, constant",
            "Scan": "interlaced, top field first",
            "Aspect": "16:9",
            "Pixels": "4:3, coded as 1920×1080",
            "Rotation": "90° clockwise",
            "Colour": "10 bits, yuv420p10le, bt2020",
            "Dynamic range": "HDR10 (PQ), Dolby Vision",
            "Light": "mastered at 0.005 to 1000 cd/m², MaxCLL 1000, MaxFALL 400",
        },
        "Sound": {
            "Track 1": "AAC, LC, 5.1, 48 kHz, 128 kbit/s, eng, default",
            "Track 2": "Opus, stereo, 48 kHz, deu, “Kommentar”",
        },
        "Subtitles": {"Track": "mov_text, fra, forced"},
        "Chapters (3)": {"0:00": "Chapter 1", "1:01": "Storm", "…": "1 more"},
        "Tags": {"artist": "Somebody"},
    }


def test_a_picture_has_no_length_and_no_frames_a_second() -> None:
    facts = Facts(format="png_pipe", duration=0.04, bit_rate=9, video=[video(codec="png", fps=25)])
    assert shown(facts, "image") == {
        "": {"Format": "png_pipe"}, "Picture": {"Size": "1920×1080", "Codec": "PNG"},
    }  # fmt: skip


def test_a_cover_is_none_of_the_pictures_and_streams_alike_are_counted() -> None:
    facts = Facts(format="mp3", video=[video(codec="mjpeg", is_picture=True)], audio=[audio(language="und")] * 3)
    assert shown(facts, "audio") == {
        "": {"Format": "mp3"},
        "Sound": {"Track": "3 × AAC, 5.1, 48 kHz"},
        "Cover art": {"Picture": "1920×1080, JPEG"},
    }


@pytest.mark.parametrize(
    ("code", "file", "picture"),
    [
        ("variable_rate", {}, {"is_variable": True}),
        ("open_gop", {}, {"is_open_gop": True}),
        ("index_last", {"index": "last"}, {}),
        ("preroll", {}, {"has_preroll": True}),
        ("interlaced", {}, {"field_order": "bottom"}),
        ("no_duration", {"duration": None}, {}),
        ("late_sound", {"audio": [audio(begin=1.2)]}, {"begin": 1.0}),
        ("late_picture", {"audio": [audio(begin=0.0)]}, {"begin": 0.2}),
        ("pixel_format", {}, {"pixel_format": "yuv444p"}),
        ("cut_off", {"is_cut_off": True}, {}),
    ],
)
def test_what_is_odd_is_noted_in_the_words_of_the_documentation(code: str, file: Any, picture: Any) -> None:
    facts = Facts.model_validate(
        {"format": "mov", "duration": 9.0, "video": [video(**({"pixel_format": "yuv420p"} | picture))]} | file
    )
    assert media_notes(facts) == [NOTES[code]]


def test_an_ordinary_film_has_no_notes() -> None:
    facts = Facts(
        format="mov",
        index="first",
        duration=9,
        video=[video(pixel_format="yuv420p", begin=0)],
        audio=[audio(begin=0.05)],
    )
    assert media_notes(facts) == []
    hevc = video(codec="hevc", pixel_format="yuv420p10le", is_open_gop=True)
    assert media_notes(Facts(format="mov", duration=9, video=[hevc])) == []  # its decoders know what to leave out


def test_the_documentation_lists_all_notes() -> None:
    page = (ROOT / "docs" / "media-info.md").read_text()
    assert [code for code, words in NOTES.items() if f"| `{code}` | {words} |" not in page] == []


def test_facts_of_an_earlier_version_are_shown() -> None:
    before = {
        "format": "mov", "duration": 2.0, "begin": 0.0, "bit_rate": 9, "title": "", "subtitles": [],
        "video": [{"index": 0, "codec": "h264", "width": 320, "height": 180, "coded_width": 320, "coded_height": 180,
                   "rotation": 0, "fps": 25.0, "is_variable": True, "frames": 50, "pixel_format": "yuv420p",
                   "bit_depth": 8, "hdr": "", "is_picture": False, "end": 2.0}],
        "audio": [{"index": 1, "codec": "aac", "channels": 2, "layout": "stereo", "sample_rate": 44100,
                   "language": "eng", "end": 2.0}],
    }  # fmt: skip
    facts = stored_facts(before)
    assert facts is not None
    assert current_facts(before) is None
    assert shown(facts, "video")["Sound"] == {"Track": "AAC, stereo, 44.1 kHz, eng"}
    assert media_notes(facts) == [NOTES["variable_rate"]]
    assert stored_facts({"format": 5, "audio": "?"}) is None
