"""Beginnings of what is no media, whatever comes later."""

# Some formats may begin anywhere (MXF after a run-in, MPEG streams cut in the middle of a packet). What
# begins like one of these is not one of those, whatever comes later: it is a lure, an archive or a program.
_NOT_MEDIA = (
    *(b"#extm3u", b"ffconcat", b"v=0\r", b"v=0\n"),  # what makes ffmpeg open other files
    *(b"<?xml", b"<!doctype", b"<html", b"<svg", b"<mpd", b"<script", b"%pdf", b"sqlite format 3"),
    *(b"#!", b"mz", b"\x7felf", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"),  # programs
    *(b"pk\x03\x04", b"pk\x05\x06", b"rar!\x1a", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"bzh", b"\xfd7zxz"),
)


def is_disguise(head: bytes) -> bool:
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith(_NOT_MEDIA) and not start.startswith(b"#!amr")
