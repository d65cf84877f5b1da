"""What render refuses before any work, and what it plans: frames, sizes and rates."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from media_jobs.errors import UnfitMedia, WrongParams
from media_jobs.ffmpeg.probing.media_facts import AudioStream, Facts, SubtitleStream, VideoStream
from media_jobs.operations import get, parse
from media_jobs.operations.base import Described
from media_jobs.operations.rendering.parameters import RenderParams
from media_jobs.operations.rendering.plan import RenderPlan
from media_jobs.operations.rendering.text_encodings import decode

SOUND = AudioStream(index=1, codec="aac", channels=2, sample_rate=48000)


def video(**known: Any) -> VideoStream:
    usual = {"width": 320, "height": 180, "coded_width": 320, "coded_height": 180, "fps": 30.0, "end": 10.0}
    return VideoStream.model_validate({"index": 0, "codec": "h264", **usual, **known})


FILM = Described("film.mp4", "video", Facts(format="mov", duration=10, video=[video()], audio=[SOUND]))
NTSC = Described("ntsc.mp4", "video", Facts(format="mov", duration=10, video=[video(fps=29.97, width=181)]))
PHOTO = Described("photo.png", "image", Facts(format="png_pipe", video=[video(width=4000, height=3000, fps=None)]))
MUSIC = Described("music.mp3", "audio", Facts(format="mp3", duration=60, audio=[SOUND]))
WORDS = Described("words.srt", "subtitle", Facts(format="srt", subtitles=[SubtitleStream(index=0, codec="subrip")]))
UNKNOWN = Described("new.mp4", "video", None)
FILES = [FILM, PHOTO, MUSIC, WORDS, UNKNOWN, NTSC]


def params(*clips: dict[str, Any], **more: Any) -> RenderParams:
    found = parse(get("render"), {"clips": list(clips), **more})
    assert isinstance(found, RenderParams)
    return found


def plan(*clips: dict[str, Any], **more: Any) -> RenderPlan:
    return RenderPlan(params(*clips, **more), FILES)


@pytest.mark.parametrize(
    ("raw", "name", "words"),
    [
        ({}, "clips", "clips must be a list of 1 to 50 objects."),
        ({"clips": []}, "clips", "clips must be a list of 1 to 50 objects."),
        ({"clips": [{}] * 51}, "clips", "clips must be a list of 1 to 50 objects."),
        ({"clips": [{}, 3]}, "clips", "clips[1]: it should be a valid dictionary or instance of Clip."),
        ({"clips": [{"start": 5, "end": 5}]}, "clips", "clips[0]: end must be after start."),
        ({"clips": [{"end": 5, "duration": 5}]}, "clips", "clips[0]: give end or duration, not both."),
        ({"clips": [{"duration": 0}]}, "clips", "clips[0]: duration must be more than 0."),
        ({"clips": [{"end": 2, "fade_in": 1.5, "fade_out": 1}]}, "clips", "clips[0]: its fades are longer"),
        ({"clips": [{"start": -1}]}, "clips", "clips[0].start: it should be greater than or equal to 0."),
        ({"clips": [{"file": "movie.mp4"}]}, "clips", "clips[0].file: must be the id of a file, or a number"),
        ({"clips": [{"file": 64}]}, "clips", "clips[0].file: must be the id of a file, or a number"),
        ({"clips": [{"name": 1}]}, "clips", "clips[0].name is unknown."),
        ({"clips": [{}], "style": {"colour": "red'[v];movie=/etc/passwd"}}, "style", "style.colour: "),
        ({"clips": [{}], "style": {"font": "Arial"}}, "style", "style.font is unknown."),
        ({"clips": [{}], "style": "big"}, "style", "style must be an object."),
        ({"clips": [{}], "quality": 63}, "quality", "quality must be between 0 and 51 for h264."),
        ({"clips": [{}], "audio": "none", "loudness": -16}, "loudness", "loudness cannot be set if audio is none."),
        ({"clips": [{}], "subtitles_encoding": "../x"}, "subtitles_encoding", "subtitles_encoding must be auto, "),
    ],
)
def test_wrong_parameters_are_named(raw: dict[str, Any], name: str, words: str) -> None:
    with pytest.raises(WrongParams) as told:
        parse(get("render"), raw)
    assert list(told.value.errors) == [name]
    [message] = told.value.errors[name]
    assert message.startswith(words)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"clips": [{"file": 0, "start": 11}]}, "Clip 1 (film.mp4): start is 11 s, but the file lasts only 10.0 s."),
        ({"clips": [{}, {"file": 0, "end": 12}]}, "Clip 2 (film.mp4): end is 12 s, but the file lasts only 10.0 s."),
        ({"clips": [{"file": 0, "start": 5, "duration": 9}]}, "Clip 1 (film.mp4): end is 14 s, but the file lasts"),
        ({"clips": [{"file": 9}]}, "Clip 1: there is no file 9. The job has 6, counted from 0."),
        ({"clips": [{"file": 2}]}, "Clip 1: music.mp3 is audio, not video or image."),
        ({"clips": [{"file": 1}]}, "Clip 1 (photo.png): an image needs a duration, and has neither start nor end."),
        ({"clips": [{"file": 1, "duration": 9999}]}, "Clip 1 (photo.png): an image is shown for 3600 s at most."),
        ({"clips": [{}], "soundtrack": 1}, "The soundtrack: photo.png is image, not video or audio."),
        ({"clips": [{}], "soundtrack": 5}, "The soundtrack ntsc.mp4 has no sound."),
        ({"clips": [{}], "soundtrack": 2, "soundtrack_start": 60}, "The soundtrack begins at 60 s, where music.mp3"),
        ({"clips": [{}], "subtitles": 0}, "subtitles: film.mp4 is video, not subtitle."),
    ],
)
def test_files_that_do_not_fit_are_refused_at_submit(raw: dict[str, Any], words: str) -> None:
    operation = get("render")
    with pytest.raises(UnfitMedia) as told:
        operation.check_files(parse(operation, raw), FILES)
    assert told.value.detail.startswith(words)


def test_nothing_is_refused_while_the_facts_are_not_known() -> None:
    operation = get("render")
    operation.check_files(params({"file": 4, "start": 500}, {"file": 4}, soundtrack=4), FILES)


def test_each_clip_has_its_length_in_frames() -> None:
    found = plan({"start": 1, "end": 2.5}, {"file": 1, "duration": 0.1}, {"file": 0, "start": 9}, fps=25)
    assert [(clip.at, clip.frames, clip.is_still) for clip in found.clips] == [
        (0, 38, False),
        (38, 2, True),
        (40, 25, False),
    ]


def test_a_clip_of_less_than_half_a_frame_is_refused() -> None:
    with pytest.raises(UnfitMedia, match="shorter than half a frame"):
        plan({"end": 0.01})


@pytest.mark.parametrize(
    ("clips", "more", "frame"),
    [
        ([{"file": 1, "duration": 1}, {"file": 5, "end": 1}], {}, (180, 180, "30000/1001")),
        ([{"file": 1, "duration": 1}], {}, (1440, 1080, "25")),
        ([{}], {"height": 90}, (160, 90, "30")),
        ([{}], {"width": 640}, (640, 360, "30")),
        ([{}], {"width": 100, "height": 200, "fps": 23.976}, (100, 200, "24000/1001")),
        ([{}], {"fps": 12.5}, (320, 180, "25/2")),
    ],
)
def test_the_frame_is_as_wanted_or_that_of_the_first_video(
    clips: list[dict[str, Any]], more: dict[str, Any], frame: tuple[int, int, str]
) -> None:
    found = plan(*clips, **more).frame
    assert (found.width, found.height, str(found.rate)) == frame


def test_ids_become_numbers() -> None:
    one, two = uuid4(), uuid4()
    named = params({"file": str(one)}, {"file": str(two)}, {"file": 0}, soundtrack=str(one))
    assert get("render").file_ids(named) == [one, two, one]
    numbered = get("render").with_files(named, {one: 0, two: 1})
    assert isinstance(numbered, RenderParams)
    assert ([clip.file for clip in numbered.clips], numbered.soundtrack) == ([0, 1, 0], 0)
    assert not any(isinstance(each, UUID) for each in numbered.references())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252", "latin-1"])
def test_the_encoding_of_subtitles_is_recognized(encoding: str) -> None:
    assert decode("Grüße, ça va?\r\n".encode(encoding)) == "Grüße, ça va?\n"


def test_an_encoding_that_is_not_recognized_is_refused_until_it_is_named() -> None:
    russian = "Привет, как дела?".encode("windows-1251")
    with pytest.raises(UnfitMedia, match="subtitles_encoding"):
        decode(russian)
    assert decode(russian, "windows-1251") == "Привет, как дела?"
    with pytest.raises(UnfitMedia, match="not in the encoding utf-8"):
        decode(russian, "utf-8")
