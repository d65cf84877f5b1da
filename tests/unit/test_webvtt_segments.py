"""A transcript in WebVTT is divided into segments that begin with a cue."""

import pytest

from media_jobs.hls.webvtt_segments import HEAD, find_segments


def cue(start: float, end: float, text: str = "A word") -> str:
    return f"{clock(start)} --> {clock(end)}\n{text}\n\n"


def clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{rest:06.3f}"


def test_no_cue_is_cut_or_lost_and_segments_begin_after_ten_minutes() -> None:
    cues = [cue(start, start + 6.5, f"Line {start}\nline two") for start in range(0, 90_000, 7)]
    content = ("WEBVTT\n\n" + "".join(cues)).encode()
    found = find_segments(content)
    parts = [content[start:end] for start, end in zip(found.offsets, found.offsets[1:], strict=False)]
    assert b"".join(parts).decode() == "".join(cues)
    assert found.begins[:3] == [0, 602, 1204]
    assert all(part.startswith(clock(begin).encode()) for part, begin in zip(parts, found.begins, strict=True))
    assert sum(found.lengths(100_000)) == 100_000
    assert sum(found.lengths(14)) == pytest.approx(found.end)


def test_text_that_looks_like_a_time_begins_nothing() -> None:
    content = f"WEBVTT\n\n{cue(1, 2)}{cue(3, 4, '01:00:00.000 --&gt; 02:00:00.000')}".encode()
    assert find_segments(content).begins == [0]


@pytest.mark.parametrize("content", [b"", b"WEBVTT\n", b"\xff\x00 no text"])
def test_without_cues_there_is_one_empty_segment(content: bytes) -> None:
    found = find_segments(content)
    assert (len(found), found.offsets, found.lengths(14)) == (1, [len(content), len(content)], [14])


def test_hours_may_be_left_out() -> None:
    found = find_segments(b"WEBVTT\n\n00:01.500 --> 00:03.000\nHello\n\n12:00.000 --> 12:02.500\nBye\n")
    assert (found.begins, found.end) == ([0, 720], 722.5)


def test_the_head_maps_ten_seconds_to_ten_seconds() -> None:
    assert HEAD == b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000\n\n"
    assert 900_000 / 90_000 == 10
