"""Facts in the words of people."""

from typing import Any

import pytest

from media_jobs.admin.media_info import clock, rate, read_out
from media_jobs.ffmpeg.probing.media_facts import AudioStream, Facts, SubtitleStream, VideoStream


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


def test_a_film_says_what_people_ask_for() -> None:
    facts = Facts(
        format="mov", duration=243.2, bit_rate=8_000_000, title="A <film>",
        video=[video(rotation=90, hdr="pq", bit_depth=10)],
        audio=[audio(language="eng"), audio(codec="opus", channels=2, layout="stereo", language="deu")],
        subtitles=[SubtitleStream(index=3, codec="mov_text", language="fra")],
    )  # fmt: skip
    assert dict(read_out(facts, "video")) == {
        "Title": "A <film>",
        "Duration": "4:03",
        "Picture": "1920×1080, 29.97 fps, H.264, 10 bits",
        "Rotation": "90° clockwise",
        "Dynamic range": "HDR10 (PQ)",
        "Sound 1": "AAC, 5.1, 48 kHz",
        "Sound 2": "Opus, stereo, 48 kHz",
        "Languages": "eng, deu",
        "Subtitles": "fra (mov_text)",
        "Bitrate": "8.0 Mbit/s",
        "Format": "mov",
    }


def test_a_picture_has_no_length_and_no_frames_a_second() -> None:
    facts = Facts(format="png_pipe", duration=0.04, bit_rate=9, video=[video(codec="png", fps=25)])
    assert read_out(facts, "image") == [("Picture", "1920×1080, PNG"), ("Format", "png_pipe")]


def test_a_cover_is_none_of_the_pictures_and_streams_alike_are_counted() -> None:
    facts = Facts(format="mp3", video=[video(codec="mjpeg", is_picture=True)], audio=[audio(language="und")] * 3)
    assert read_out(facts, "audio") == [
        ("Cover", "1920×1080, JPEG"), ("Sound", "3 × AAC, 5.1, 48 kHz"), ("Format", "mp3"),
    ]  # fmt: skip
