"""The log of ffmpeg: short, without paths and control characters."""

import pytest

from media_jobs.ffmpeg.error_output import Log, Problem


def log(text: str, **names: str) -> Log:
    made = Log(names)
    made.feed(text.encode())
    made.close()
    return made


def test_known_paths_are_replaced_by_names_and_other_paths_lose_their_folders() -> None:
    made = Log({"/srv/work/a b/": "", "/srv/blobs/ab/cdef": "holiday.mov"})
    made.feed(b"[in @ 0x1] file:/srv/blobs/ab/cdef: bad\nfile:/srv/work/a b/out.mp4: no\nopen /etc/ssl/key.pem: no\n")
    assert made.text == "[in @ 0x1] holiday.mov: bad\nout.mp4: no\nopen key.pem: no"


def test_control_characters_are_removed() -> None:
    assert log("\x1b[31mred\x1b[0m \x07bell \u202eexe.4pm\x00\x9b").text == "red bell exe.4pm"


def test_text_that_only_resembles_a_path_is_kept() -> None:
    said = "matroska,webm N/A 30000/1001 fps http://x and/or"
    assert log(said).text == said


def test_only_the_last_lines_are_kept() -> None:
    text = log("\n".join(f"line {n}" for n in range(1000))).text
    assert text.startswith("line 800\n")
    assert text.endswith("line 999")


def test_a_line_without_end_is_cut() -> None:
    made = Log()
    for _ in range(1000):
        made.feed(b"x" * 10_000)
    assert len(made.text) <= 64 * 1024


def test_pieces_are_put_together_and_carriage_returns_end_lines() -> None:
    made = Log()
    for piece in (b"[mov @ 0x1] [err", b"or] bro", "kén\r".encode()[:-2], b"\xa9n\rnext"):
        made.feed(piece)
    made.close()
    assert made.text.splitlines()[-1] == "next"
    assert list(made.errors)


@pytest.mark.parametrize(
    "line",
    [
        "[in#0/matroska,webm @ 0x5] [error] File ended prematurely",
        "[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x5] [error] stream 1, offset 0x11098: partial file",
        "[in#0 @ 0x5] [error] moov atom not found",
        "[in#0/avi @ 0x5] [warning] Packet corrupt (stream = 0, dts = 37).",
    ],
)
def test_an_input_that_ends_early_is_noticed(line: str) -> None:
    assert log(line + "\n" + "and much more\n" * 500).problems == {Problem.CUT_OFF}


def test_a_lost_packet_of_a_broadcast_is_no_early_end() -> None:
    assert not log("[in#0/mpegts @ 0x5] [warning] Packet corrupt (stream = 0, dts = 37).").problems


def test_the_last_error_is_the_last_one_that_is_not_vague() -> None:
    made = log(
        "[aac @ 0x1] [error] Too many bits 9000 > 6144\n"
        "[af#0:0 @ 0x1] [error] Task finished with error code: -22\n"
        "[fatal] Conversion failed!\n"
    )
    assert made.last_error == "Too many bits 9000 > 6144"
