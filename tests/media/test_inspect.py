"""The operation inspect: facts, posters and waveforms."""

import pytest

from media_jobs.errors import BadMedia
from tests.support.operation_runs import Operate

from ..support.media_checks import colours

FILMS = ["film.mp4", "film.mkv", "film.ts", "one-frame.mp4", "uneven.mp4", "halves.ts", "four-hours.mkv", "hlg.mp4"]
ODD = ["rotated.mp4", "odd.mp4", "ten-bits.mp4", "only-picture.mp4", "many-tracks.mkv", "pq.mp4"]


@pytest.mark.parametrize("clip", [*FILMS, *ODD, "cut.mp4", "cut.mkv", "scratched.mp4"])
def test_inspecting_a_video_returns_its_facts_and_a_poster(operate: Operate, clip: str) -> None:
    done = operate("inspect", clip)
    assert done.facts is not None
    assert done.facts.picture is not None
    assert (done.output.name, done.output.kind) == ("poster.jpg", "image")


def test_a_poster_is_no_wider_than_a_page_needs(operate: Operate) -> None:
    picture = operate("inspect", "still.png", kind="image").made.video[0]
    assert (picture.width, picture.height) == (640, 360)


@pytest.mark.parametrize("clip", ["only-sound.mp4", "speech.flac", "silence.wav", "click.wav", "surround.mkv"])
def test_inspecting_sound_draws_its_waveform(operate: Operate, clip: str) -> None:
    done = operate("inspect", clip, kind="audio")
    assert done.facts is not None
    assert done.facts.audio
    assert (done.output.name, done.output.media_type) == ("waveform.png", "image/png")


def test_a_waveform_grows_with_its_sound(operate: Operate) -> None:
    columns = colours(operate("inspect", "speech.flac", kind="audio").output.path, 8, 1)
    blue = [column[2] for column in columns]
    assert blue == sorted(blue)
    assert blue[-1] > 1.5 * blue[0] > 0


def test_four_hours_of_sound_are_drawn_in_little_memory(operate: Operate) -> None:
    assert operate("inspect", "four-hours.flac", kind="audio").output.name == "waveform.png"


def test_the_facts_are_kept_if_no_poster_can_be_made(operate: Operate) -> None:
    done = operate("inspect", "ruined.mp4")
    assert done.outputs == []
    assert done.facts is not None
    assert done.facts.duration == pytest.approx(2.0, abs=0.1)
    assert done.message.startswith("No preview could be made. No picture can be read")


@pytest.mark.parametrize("clip", ["no-media.mp4", "cut-before-its-index.mp4"])
def test_an_unreadable_file_is_bad_media(operate: Operate, clip: str) -> None:
    with pytest.raises(BadMedia):
        operate("inspect", clip)
