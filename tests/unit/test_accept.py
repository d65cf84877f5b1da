"""Which media are taken: kinds and media types."""

import pytest

from uploads.content.sniffing import Kind, MediaType, is_accepted, parse_accept

MP4, MKV, MP3 = (
    MediaType(Kind.VIDEO, "video/mp4"),
    MediaType(Kind.VIDEO, "video/x-matroska"),
    MediaType(Kind.AUDIO, "audio/mpeg"),
)


@pytest.mark.parametrize(
    ("raw", "taken", "refused"),
    [
        ("video", [MP4, MKV], [MP3, None]),
        ("video/*", [MP4, MKV], [MP3, None]),
        ("video/mp4", [MP4], [MKV, MP3, None]),
        ("video/mp4,audio/*", [MP4, MP3], [MKV, None]),
        (" Video/MP4 , audio ,", [MP4, MP3], [MKV, None]),
    ],
)
def test_media_are_taken_by_kind_or_by_type(
    raw: str, taken: list[MediaType], refused: list[MediaType | None]
) -> None:
    accepted = parse_accept(raw)
    assert accepted is not None
    assert all(is_accepted(media, accepted) for media in taken)
    assert not any(is_accepted(media, accepted) for media in refused)


def test_a_star_takes_anything() -> None:
    assert parse_accept("*") is None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("viedo", "'viedo' is not a kind or media type .* audio, image, subtitle, video"),
        ("video/mp5", "'video/mp5' .* video/mp4"),
        ("application/*", "application/"),
        ("video,*", r"'\*' is not a kind"),
        ("mp4", "'mp4' is not a kind"),
        (".mp4", "is not a kind"),
    ],
)
def test_a_word_that_content_can_never_be_is_refused(raw: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_accept(raw)
