"""The probe reads what people look for in a file: labels, chapters, HDR, and what is odd."""

from collections.abc import Callable
from pathlib import Path

import pytest

from media_jobs.ffmpeg.probing.media_facts import MAX_CHAPTERS, MAX_TAGS, MAX_TEXT, Facts
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from tests.support.ffmpeg_clips import Make, cut
from tests.support.media_labels import chapters_file

SMALL = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2")
TONES = ("-f", "lavfi", "-i", "sine=440:d=2", "-f", "lavfi", "-i", "sine=880:d=2")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")
HDR10 = (
    "log-level=none:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
)
Look = Callable[[Path], Facts]


@pytest.fixture
def look(sandbox: Sandbox) -> Look:
    return lambda path: probe(path, sandbox)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov"])
def test_a_film_tells_its_labels_and_chapters(name: str, look: Look, make: Make, tmp_path: Path) -> None:
    labels = chapters_file(tmp_path / "labels", ["Opening", "Storm"], 1.0, artist="Somebody", title="A film")
    facts = look(make(
        name, *SMALL, *TONES, "-i", str(labels), "-map", "0", "-map", "1", "-map", "2", "-map_metadata", "3", *X264,
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", "-metadata:s:a:1", "title=Comments",
        "-disposition:a:0", "default", "-disposition:a:1", "hearing_impaired", "-timecode", "01:00:00:00",
    ))  # fmt: skip
    assert (facts.title, facts.tags["artist"], facts.timecode) == ("A film", "Somebody", "01:00:00:00")
    assert [(chapter.start, chapter.end, chapter.title) for chapter in facts.chapters] == [
        (0, 1, "Opening"), (1, 2, "Storm"),
    ]  # fmt: skip
    assert facts.chapter_count == 2
    assert [sound.language for sound in facts.audio] == ["eng", "fra"]
    assert facts.audio[0].dispositions == ["default"]
    if name != "film.mov":  # QuickTime has neither
        assert facts.audio[1].title == "Comments"
        assert "hearing_impaired" in facts.audio[1].dispositions
    [picture] = facts.video
    assert (picture.display_aspect, picture.sample_aspect, picture.field_order) == ("16:9", "1:1", "progressive")
    assert (picture.begin, facts.audio[0].begin) == (0, 0)


def test_hdr10_tells_the_light_it_was_mastered_for(look: Look, make: Make) -> None:
    [picture] = look(make("hdr.mp4", *SMALL, "-frames:v", "5", *X265, "-x265-params", HDR10)).video
    assert (picture.hdr, picture.color_primaries, picture.mastering_luminance) == ("pq", "bt2020", (0.005, 1000))
    assert (picture.max_content_light, picture.max_average_light, picture.is_dolby_vision) == (1000, 400, False)


def test_dolby_vision_is_noticed(look: Look, make: Make) -> None:
    dolby = make("dolby.mp4", *SMALL, "-frames:v", "5", *X265, "-tag:v", "dvh1")
    assert look(dolby).video[0].is_dolby_vision


def test_the_aspect_of_a_turned_picture_with_wide_pixels_is_exact(look: Look, make: Make) -> None:
    film = make("film.mp4", *SMALL, "-vf", "setsar=4/3", *X264)
    [picture] = look(make("turned.mp4", "-display_rotation", "90", "-i", str(film), "-c", "copy")).video
    assert (picture.sample_aspect, picture.display_aspect, picture.rotation) == ("4:3", "27:64", 270)


@pytest.mark.parametrize(
    ("name", "options", "notes"),
    [
        ("last.mp4", X264, ["index_last"]),
        ("first.mp4", (*X264, "-movflags", "+faststart"), []),
        ("open.mkv", (*X264, "-bf", "2", "-x264-params", "open-gop=1:keyint=12:b-adapt=0:scenecut=0"), ["open_gop"]),
        ("closed.mkv", (*X264, "-bf", "2", "-x264-params", "open-gop=0:keyint=12:b-adapt=0:scenecut=0"), []),
        ("fields.mkv", ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-vf", "setfield=tff"), ["interlaced"]),
        ("rgb.mkv", ("-c:v", "libx264rgb", "-preset", "ultrafast"), ["pixel_format"]),
        ("uneven.mkv", (*X264, "-vf", "select=not(mod(n\\,2))+not(mod(n\\,3))", "-fps_mode", "vfr"),
         ["variable_rate"]),
        ("slower.mov", (*X264, "-vf", "select=lt(n\\,30)+not(mod(n\\,4))", "-fps_mode", "vfr", "-movflags",
                        "+faststart"), ["variable_rate"]),
        ("live.mkv", (*X264, "-f", "matroska", "-live", "1"), ["no_duration"]),
    ],
)  # fmt: skip
def test_what_is_odd_is_noted(name: str, options: tuple[str, ...], notes: list[str], look: Look, make: Make) -> None:
    assert look(make(name, *SMALL, *options)).notes == notes


def test_a_cut_off_film_with_its_index_first_is_noted(look: Look, film: Path, tmp_path: Path) -> None:
    copy = tmp_path / "film.mp4"
    copy.write_bytes(film.read_bytes())
    assert look(cut(copy, 0.7)).notes == ["cut_off"]


def test_a_beginning_that_an_edit_list_hides_is_noted(look: Look, make: Make) -> None:
    film = make("film.mp4", *SMALL, *X264)
    assert "preroll" in look(make("later.mp4", "-ss", "0.5", "-i", str(film), "-c", "copy")).notes


def test_sound_that_starts_later_is_noted(look: Look, make: Make) -> None:
    assert look(make("late.mkv", *SMALL, "-itsoffset", "0.5", *TONES[:4], *X264)).notes == ["late_sound"]


def test_hostile_labels_are_cut_and_cleaned(look: Look, make: Make, tmp_path: Path) -> None:
    chapters = [f"\x1b[31m{number}\u202e" + "x" * 3000 for number in range(MAX_CHAPTERS + 50)]
    many = {f"tag{number}": "y" * 5000 for number in range(MAX_TAGS + 20)}
    labels = chapters_file(
        tmp_path / "labels", chapters, 0.01, title="\u202e\x1b]0;\x07NOT UTF8" + "z" * 9000, **many
    )
    hostile = make("hostile.mkv", *SMALL, "-i", str(labels), "-map", "0", "-map_metadata", "1", *X264,
                   "-metadata:s:v", "language=<script>")  # fmt: skip
    hostile.write_bytes(hostile.read_bytes().replace(b"NOT UTF8", b"\xff\xfe\xc0\x80\xed\xa0\x80 "))
    facts = look(hostile)
    assert (len(facts.chapters), facts.chapter_count) == (MAX_CHAPTERS, MAX_CHAPTERS + 50)
    assert len(facts.tags) <= MAX_TAGS
    texts = [facts.title, *facts.tags.values(), *(chapter.title for chapter in facts.chapters)]
    assert all(len(text) <= MAX_TEXT and text.isprintable() for text in texts)
    assert facts.title.encode()
    assert len(facts.model_dump_json()) < 40_000
