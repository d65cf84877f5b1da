"""The detectors `scenes`, `black`, `freeze` and `silence`: every planted event within a frame, and none besides."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.sandbox import Sandbox
from tests.support.operation_runs import Done, OperateOn

from ..support.event_clips import EVENT_CLIPS, Planted, Spans, event_clip
from ..support.troubled_clips import AAC, BT2020, HDR, X264, ffmpeg

PICTURE = ["scenes", "black", "freeze"]
NTSC = Fraction(30000, 1001)
QUICK = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 50"


@dataclass(frozen=True)
class Events:
    """What was found, in seconds."""

    scenes: Spans
    black: Spans
    freeze: Spans
    silence: Spans
    duration: float
    message: str

    @property
    def cuts(self) -> list[float]:
        return [start for start, _ in self.scenes][1:]


Detect = Callable[..., Events]


@pytest.fixture
def detect(operate_on: OperateOn, sandbox: Sandbox) -> Detect:
    def run(path: Path, *detectors: str, kind: str = "video") -> Events:
        done = operate_on("detect", path, probe(path, sandbox), kind=kind, detectors=list(detectors or PICTURE))
        return events(done)

    return run


def events(done: Done) -> Events:
    found = json.loads(done.outputs[0].path.read_text())
    spans = {
        name: [(find["start"], find["end"]) for find in found["finds"] if find["detector"] == name]
        for name in (*PICTURE, "silence")
    }
    return Events(**spans, duration=found["duration"], message=done.message)


def check(found: Events, planted: Planted, rate: Fraction = Fraction(25), begin: float = 0.0) -> None:
    """Each is found within one frame, and nothing else."""
    frame = 1 / float(rate) + 0.001
    cuts = [begin + float(cut / rate) for cut in planted.cuts]
    assert found.cuts == pytest.approx(cuts, abs=frame)
    for name, spans in (("black", planted.black), ("freeze", planted.frozen)):
        expected = [begin + float(frame / rate) for span in spans for frame in span]
        assert [time for span in getattr(found, name) for time in span] == pytest.approx(expected, abs=frame), name
    assert all(one[1] == other[0] for one, other in pairwise(found.scenes))


@pytest.mark.parametrize("name", EVENT_CLIPS)
def test_planted_events_are_found_to_the_frame(name: str, detect: Detect, tmp_path: Path) -> None:
    planted = event_clip(name, tmp_path / "clip.mp4")
    check(detect(tmp_path / "clip.mp4"), planted)


@pytest.mark.parametrize("name", ["all", "noisy-freeze"])
def test_they_are_found_when_key_frames_renew_the_picture(name: str, detect: Detect, tmp_path: Path) -> None:
    planted = event_clip(name, tmp_path / "clip.mp4", encoder=QUICK)
    check(detect(tmp_path / "clip.mp4"), planted)


@pytest.mark.parametrize(
    ("file", "encoder", "rate", "late"),
    [
        ("ntsc.mp4", X264, NTSC, 0.0),
        ("stream.ts", f"{X264} -g 50", Fraction(25), 0.0),
        ("late.mkv", X264, Fraction(25), 1.0),
        ("wide-range.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuvj420p", Fraction(25), 0.0),
        ("hdr.mp4", f"-vf {BT2020}smpte2084 {HDR}", Fraction(25), 0.0),
        ("hybrid-log-gamma.mp4", f"-vf {BT2020}arib-std-b67 {HDR}", Fraction(25), 0.0),
    ],
)
def test_in_every_kind_of_file(
    file: str, encoder: str, rate: Fraction, late: float, detect: Detect, tmp_path: Path
) -> None:
    film, path = tmp_path / "film.mkv", tmp_path / file
    planted = event_clip("all", film, rate=str(rate), encoder=encoder)
    sound = ("-f", "lavfi", "-i", "sine=duration=9")
    ffmpeg("-itsoffset", f"{late}", "-i", str(film), *sound, "-c:v", "copy", *AAC.split(), str(path))
    check(detect(path), planted, rate, late)


def test_in_a_rotated_film(detect: Detect, tmp_path: Path) -> None:
    planted = event_clip("all", tmp_path / "film.mp4")
    rotated = tmp_path / "rotated.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(tmp_path / "film.mp4"), "-c", "copy", str(rotated))
    check(detect(rotated), planted)


def test_in_a_film_of_variable_rate(detect: Detect, tmp_path: Path) -> None:
    """Frames are left out, but not where something happens. A frame that is not followed by one is shown on."""
    kept = "eq(n,224)+eq(n,74)+eq(n,150)+eq(n,200)+not(mod(n,5))+lt(n,60)*mod(n,3)+not(mod(n-50,25))"
    options = ("-vf", f"select='{kept}'", "-fps_mode", "vfr", "-enc_time_base", "1/90000")
    planted = event_clip("all", tmp_path / "film.mkv", *options, encoder=QUICK)
    check(detect(tmp_path / "film.mkv"), planted)


@dataclass(frozen=True)
class Sound:
    source: str  # for lavfi
    silent: Spans
    options: tuple[str, ...] = ("-c:a", "flac")


def _quiet(*spans: tuple[float, float], level: float = 0.0) -> str:
    """A tone, but for these stretches, in which there is noise."""
    within = "+".join(f"between(t,{start},{end})" for start, end in spans)
    return f"aevalsrc='if({within},{level}*(2*random(0)-1),0.3*sin(440*2*PI*t))':s=16000:d=9"


EDGES = [(0.0, 1.0), (4.0, 5.5), (8.0, 9.0)]
SOUNDS = {
    "at both ends and between.flac": Sound(_quiet(*EDGES), EDGES),
    "aac.m4a": Sound(_quiet(*EDGES), EDGES, ("-c:a", "aac")),
    "pause between words.flac": Sound(_quiet((4.0, 4.4)), []),
    "quiet noise.flac": Sound(_quiet((4.0, 5.5), level=0.002), [(4.0, 5.5)]),  # -54 dBFS
    "noise of a room.flac": Sound(_quiet((4.0, 5.5), level=0.01), []),  # -40 dBFS
    "hum.flac": Sound("aevalsrc='0.01*sin(50*2*PI*t)':s=16000:d=4", []),
    "nothing.flac": Sound("anullsrc=r=16000,atrim=duration=4", [(0.0, 4.0)]),
    "one channel.flac": Sound("aevalsrc='0|0.3*sin(440*2*PI*t)':s=16000:d=4", []),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUNDS)
def test_silence_is_found_to_a_tenth_of_a_second(name: str, detect: Detect, tmp_path: Path) -> None:
    sound = SOUNDS[name]
    ffmpeg("-f", "lavfi", "-i", sound.source, *sound.options, str(tmp_path / name))
    check_silence(detect(tmp_path / name, "silence", kind="audio"), sound.silent)


def check_silence(found: Events, silent: Spans) -> None:
    expected = [time for span in silent for time in span]
    assert [time for span in found.silence for time in span] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("file", ["film.mkv", "film.mp4", "film.ts"])
@pytest.mark.parametrize(
    ("late", "sound", "picture", "silent"),
    [(2.0, 4.0, 6.0, [(0.0, 2.0)]), (0.0, 4.0, 6.0, [(4.0, 6.0)]), (1.0, 3.0, 6.0, [(0.0, 1.0), (4.0, 6.0)])],
)
def test_where_there_is_no_sound_yet_or_no_more_it_is_silent(
    file: str, late: float, sound: float, picture: float, silent: Spans, detect: Detect, tmp_path: Path
) -> None:
    ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=s=160x90:r=25:d={picture}",
        "-itsoffset", f"{late}", "-f", "lavfi", "-i", f"sine=duration={sound}",
        *X264.split(), *AAC.split(), str(tmp_path / file),
    )  # fmt: skip
    check_silence(detect(tmp_path / file, "silence"), silent)
    check_silence(detect(tmp_path / file, "silence", "black"), silent)
