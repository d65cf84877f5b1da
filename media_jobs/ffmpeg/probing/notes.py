"""Notes: what is odd about a file, and what follows from that. The API has the codes, pages show the words.

docs/media-info.md lists them.
"""

from collections.abc import Iterator

from .media_facts import Facts, VideoStream

NOTES = {
    "variable_rate": "The frame rate varies. transcode keeps it so, unless fps is set.",
    "open_gop": "Open GOP: seeking may show broken pictures; HLS encodes instead of copying.",
    "index_last": "The index is at the end (moov): players that stream must wait; transcode and hls write it first.",
    "preroll": "An edit list hides the beginning (pre-roll): some players show it; HLS encodes instead of copying.",
    "interlaced": "The picture is interlaced: transcode makes whole frames of it.",
    "no_duration": "The file does not say how long it is: players cannot seek well.",
    "late_sound": "The sound starts later than the picture.",
    "late_picture": "The picture starts later than the sound.",
    "pixel_format": "The pixel format is unusual: browsers and many players cannot show it; transcode makes yuv420p.",
    "cut_off": "The end of the file is missing.",
}

_LATE = 0.1  # seconds, which people begin to notice
_USUAL = {
    "h264": {"yuv420p", "yuvj420p"},
    "hevc": {"yuv420p", "yuvj420p", "yuv420p10le"},
    "vp9": {"yuv420p", "yuv420p10le"},
    "av1": {"yuv420p", "yuv420p10le"},
}
_BROKEN_BY_OPEN_GOP = {"h264", "mpeg2video"}  # decoders of HEVC leave out the pictures that they cannot decode


def notes_of(facts: Facts) -> list[str]:
    """The codes of all notes that are true of these facts, the order of NOTES."""
    found = {*_of_file(facts), *(_of_picture(facts.picture) if facts.picture else [])}
    return [code for code in NOTES if code in found]


def _of_file(facts: Facts) -> Iterator[str]:
    if facts.index == "last":
        yield "index_last"
    if facts.is_cut_off:
        yield "cut_off"
    moves = facts.picture is not None and facts.picture.fps is not None
    if facts.duration is None and (facts.audio or moves):
        yield "no_duration"
    picture, sound = facts.picture, facts.audio[0] if facts.audio else None
    if picture and sound and picture.begin is not None and sound.begin is not None:
        if sound.begin - picture.begin > _LATE:
            yield "late_sound"
        if picture.begin - sound.begin > _LATE:
            yield "late_picture"


def _of_picture(picture: VideoStream) -> Iterator[str]:
    if picture.is_variable:
        yield "variable_rate"
    if picture.is_open_gop and picture.codec in _BROKEN_BY_OPEN_GOP:
        yield "open_gop"
    if picture.has_preroll:
        yield "preroll"
    if picture.is_interlaced:
        yield "interlaced"
    if picture.codec in _USUAL and picture.pixel_format not in _USUAL[picture.codec]:
        yield "pixel_format"
