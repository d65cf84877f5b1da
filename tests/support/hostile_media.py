"""Files that are made to read other files or to use up the machine, and the limits that hold for them."""

import struct
from collections.abc import Callable
from pathlib import Path

GB = 1 << 30
SECONDS = 30  # 15, on a machine that is not busy with tests
ONE_GRAY = ("-frames:v", "1", "-pix_fmt", "gray", "-compression_level", "1", "-pred", "none")


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
LURES: dict[str, Callable[[str], str]] = {
    "an HLS playlist": HLS.format,
    "an HLS playlist with a file address": lambda name: HLS.format(f"file://{name}"),
    "an HLS playlist with a web address": lambda name: HLS.format("http://127.0.0.1:9/film.ts"),
    "an HLS playlist by concat": lambda name: HLS.format(f"concat:{name}"),
    "an ffconcat list": lambda name: f"ffconcat version 1.0\nfile {name}\n",
    "an ffconcat list with a relative name": lambda name: "ffconcat version 1.0\nfile secret.srt\n",
    "a DASH manifest": lambda name: (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-live:2011">'
        '<Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1"><BaseURL>{name}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ),
    "an SDP description": lambda name: (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\n"
    ),
    "a drawing that shows a file": lambda name: (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file://{name}"/></svg>'
    ),
}  # fmt: skip


def write_wav(path: Path, content: bytes, *, rate: int, channels: int = 1, claimed: int | None = None) -> Path:
    """16 bits a sample, at any rate, with any number of channels. `claimed`: the size that its header gives."""
    block, size = 2 * channels, len(content) if claimed is None else claimed
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * block % 2**32, block, 16)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)
    path.write_bytes(head + content)
    return path
