"""`manage.py demo`, as somebody runs it who has just heard of Millrace."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.server import ROOT, environment
from uploads.content.sniffing import sniff

SHOWN = [
    "Making a clip of 1 s",
    "Uploading: 100%",
    "media_type  video/mp4",
    "Downloading: 100%",
    "The downloaded file is identical to the uploaded one.",
    "100%.*inspect: Done",
    "poster.jpg +[0-9]+ bytes",
    "video       codec h264, width 1280, height 720, fps 25.0",
    "audio       codec aac",
    "duration    1.0 s",
    "100%.*thumbnail: Done",
    "thumbnail.jpg +[0-9]+ bytes",
    "100%.*transcode: Done",
    "video.mp4 +[0-9]+ bytes",
    "The results were verified and downloaded, with the right SHA-256.",
]


def test_the_demo_shows_an_upload_and_two_operations_and_leaves_the_clip_alone(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    kept = tmp_path / "clip.mp4"
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--seconds", "1", "--keep", str(kept)],
        cwd=ROOT, text=True, capture_output=True, timeout=300,
        env=environment(tmp_path / "home", "", SLOTS_BULK="0", SLOTS_INFERENCE="0") | {"TMPDIR": str(scratch)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(".*".join(SHOWN), done.stdout, flags=re.DOTALL), done.stdout
    assert list(scratch.iterdir()) == []
    assert sniff(kept.read_bytes()[:4096]) is not None
