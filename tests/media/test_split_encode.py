"""A picture that is encoded in pieces has the frames and times of one that is encoded whole."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Outcome, Work
from media_jobs.operations.divisible import DivisibleOperation, DonePart, Indivisible
from media_jobs.operations.shared import split_encode
from tests.support.hls_streams import decoded, packets
from tests.support.media_checks import subtitle_lines
from tests.support.media_labels import chapters_file
from tests.support.troubled_clips import ffmpeg, with_subtitles

Clips = Callable[[str], Path]
Encode = Callable[..., tuple[Path, int]]
THREADS = 2
SOUND = {"make": "sound"}


@pytest.fixture
def transcode(
    clips: Clips, facts_of: Callable[[str], Facts], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Encode:
    """Encode a clip as workers do, whole or in pieces of about four seconds. Returns the video and their number."""
    monkeypatch.setattr(split_encode, "SHORTEST", 3.9)
    operation = get("transcode")
    assert isinstance(operation, DivisibleOperation)

    def work_in(folder: Path, name: str, params: Mapping[str, Any]) -> Work[Any]:
        folder.mkdir(mode=0o700)
        tools = Toolbox(find(), sandbox, folder, THREADS, lambda: None, lambda _: None)
        facts = facts_of(name)
        return Work(parse(operation, params), Input(clips(name), name, "video", facts), [], folder, tools, THREADS)

    def verified(work: Work[Any], outcome: Any) -> Path:
        [output] = outcome.outputs
        assert isinstance(work.tools, Toolbox)
        work.tools.verify(output.path, output.expected)
        return Path(output.path)

    def run(name: str, *, split: bool, **params: Any) -> tuple[Path, int]:
        work = work_in(tmp_path / f"{name}-{split}", name, params)
        if not split:
            return verified(work, operation.run(work)), 1
        done = []
        parts = operation.split(work, 10)
        assert not isinstance(parts, Outcome)
        for number, part in enumerate(parts):
            own = work_in(tmp_path / f"{name}-{number}", name, params)
            done.append(
                DonePart(part.spec, {each.name: each.path for each in operation.run_part(own, part.spec).outputs})
            )
        return verified(work, operation.join(work, done)), sum(part.spec != SOUND for part in done)

    return run


@pytest.mark.parametrize(
    "name",
    [
        "ntsc.mp4",
        "variable-rate.mp4",
        "open-gop.mp4",
        "turned.mp4",
        "negative-offsets.mp4",
        "wide-and-silent.mp4",
        "late-picture.mp4",
        "late-sound.mp4",
        "orderly.mkv",
        "late-picture.mkv",
        "lying-index.mp4",
        "hdr10.mp4",
    ],
)
def test_pieces_have_the_frames_and_times_of_the_whole(name: str, transcode: Encode) -> None:
    whole, _ = transcode(name, split=False)
    joined, pieces = transcode(name, split=True)
    assert pieces >= 2
    assert sorted(packet.begin for packet in packets(joined, "video")) == pytest.approx(
        sorted(packet.begin for packet in packets(whole, "video")), abs=0.0001
    )
    if name != "wide-and-silent.mp4":
        assert packets(joined, "audio") == packets(whole, "audio")
    assert decoded(joined).count("\n") == decoded(whole).count("\n")
    assert joined.stat().st_size == pytest.approx(whole.stat().st_size, rel=0.1)


def test_pieces_keep_the_metadata_of_the_whole(transcode: Encode, clips: Clips, sandbox: Sandbox) -> None:
    source = clips("index-last.mp4")
    named = source.with_name("named.mp4")
    labels = chapters_file(source.with_name("named.labels"), ["One", "Two"], 7.0, title="A film", artist="Somebody")
    ffmpeg("-i", str(source), "-i", str(labels), "-map_metadata", "1", "-map_chapters", "1", "-c", "copy",
           "-metadata:s:a:0", "language=fra", str(named))  # fmt: skip
    joined, pieces = transcode("named.mp4", split=True)
    made = probe(joined, sandbox)
    assert pieces >= 3
    assert (made.title, made.tags["artist"], made.audio[0].language) == ("A film", "Somebody", "fra")
    assert [(each.start, each.title) for each in made.chapters] == [(0, "One"), (7, "Two")]
    dropped = probe(transcode("index-last.mp4", split=True, metadata="drop", height=64)[0], sandbox)
    assert (dropped.title, dropped.chapters) == ("", [])


def test_pieces_keep_all_tracks_of_the_whole(transcode: Encode, clips: Clips, sandbox: Sandbox) -> None:
    source = clips("two-languages.mp4")
    with_subtitles(source, source.with_name("all-tracks.mkv"), "eng", "deu")
    made = [transcode("all-tracks.mkv", split=split, tracks="all", height=64) for split in (False, True)]
    (whole, _), (joined, pieces) = made
    assert pieces >= 3
    for path in (whole, joined):
        found = probe(path, sandbox)
        assert [each.language for each in (*found.audio, *found.subtitles)] == ["eng", "fra", "eng", "deu"]
        assert subtitle_lines(path, 1) == [(1, 3, "Hello"), (5, 7.5, "Good bye")]
    assert packets(joined, "audio") == packets(whole, "audio")


@pytest.mark.parametrize("codec", ["hevc", "vp9", "av1"])
def test_other_codecs_are_joined_too(codec: str, transcode: Encode) -> None:
    whole, _ = transcode("index-last.mp4", split=False, codec=codec, height=64)
    joined, _ = transcode("index-last.mp4", split=True, codec=codec, height=64)
    times = [sorted(packet.begin for packet in packets(path, "video")) for path in (whole, joined)]
    assert times[0] == pytest.approx(times[1], abs=0.001)
    assert decoded(joined).count("\n") == decoded(whole).count("\n")


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        ("orderly.ts", {}, "does not find key frames"),
        ("few-key-frames.mp4", {}, "too few key frames"),
        ("begins-in-a-gop.mp4", {}, "hides its first frames"),
        ("index-last.mp4", {"fps": 10}, "fps"),
        ("index-last.mp4", {"start": 2}, "start"),
    ],
)
def test_what_cannot_be_divided_says_why(name: str, params: dict[str, Any], reason: str, transcode: Encode) -> None:
    with pytest.raises(Indivisible, match=reason):
        transcode(name, split=True, **params)
