"""The operation detect with the real ffmpeg and inference helper, on clips in which all events are known."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_jobs.detection import registry
from media_jobs.errors import BadMedia, UnfitMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.progress import Report
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import detect, get, parse
from media_jobs.operations.base import Input, Outcome, Work
from media_jobs.operations.detecting import frame_feeder
from media_jobs.operations.divisible import DonePart
from media_jobs.understanding.warm_helper import WarmHelper
from tests.support.drawn_detectors import Rectangles

from ..support.media_checks import decoded
from ..support.troubled_clips import X264, ffmpeg

# Black; from 1 s to 5 s a white rectangle that goes right; from 2 s to 6.5 s a gray one that stands. Sound until 5 s.
# Each is 1/8 wide and 1/9 high.
CLIP = (
    "color=black:s=320x180:r=25:d=8[b];color=white:s=40x20:r=25:d=8[w];color=0xA0A0A0:s=40x20:r=25:d=8[g];"
    "[b][w]overlay=x='20+t*20':y=40:enable='between(t,0.99,4.99)'[o];"
    "[o][g]overlay=x=200:y=100:enable='between(t,1.99,6.49)',format=yuv420p"
)
SECONDS_BETWEEN = 0.2  # of frames that are looked at
ALL = ["motion", "scenes", "black", "freeze", "silence", "rectangles"]


@dataclass
class Detected:
    outcome: Outcome
    reports: list[Report]
    folder: Path
    commands: list[list[str]]
    json: dict[str, Any] = field(default_factory=dict)

    def of(self, detector: str) -> list[dict[str, Any]]:
        return [each for each in self.json["finds"] if each["detector"] == detector]

    def spans(self, detector: str) -> list[tuple[float, float]]:
        return [(each["start"], each["end"]) for each in self.of(detector)]


Detect = Callable[..., Detected]


@pytest.fixture(autouse=True)
def rectangles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DETECTORS, Rectangles.name, Rectangles())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "drawn.mp4"
    sound = ["-f", "lavfi", "-i", "sine=440:d=5"]
    ffmpeg("-f", "lavfi", "-i", CLIP, *sound, *X264.split(), "-g", "30", "-c:a", "aac", str(path))
    return path


@pytest.fixture
def detected(helper: WarmHelper, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Detect:
    """Run it as a worker does: at once, or divided into spans that last `spans` seconds."""
    numbers = iter(range(1000))

    def run(
        path: Path, detectors: Sequence[str] = ("rectangles",), *, spans: float | None = None, kind: str = "video",
        **params: Any,
    ) -> Detected:  # fmt: skip
        def folder() -> Path:
            made = tmp_path / f"work-{next(numbers)}"
            made.mkdir()
            return made

        reports: list[Report] = []
        tools = Toolbox(find(), sandbox, folder(), 2, lambda: None, reports.append)
        operation, given = get("detect"), {"detectors": list(detectors), "min_confidence": 0.3, **params}
        assert isinstance(operation, detect.Detect)
        with helper.lend("alice", 1, lambda: None) as inference:
            work = Work(
                parse(operation, given), Input(path, path.name, kind, probe(path, sandbox)), [], tools.folder, tools,
                2, inference=inference,
            )  # fmt: skip
            if spans is None:
                outcome = operation.run(work)
            else:
                monkeypatch.setattr(detect, "_LENGTH", spans)
                parts = operation.split(work, 2)
                assert not isinstance(parts, Outcome)
                done = []
                for part in parts:
                    tools.folder = folder()
                    made = operation.run_part(replace(work, folder=tools.folder), part.spec)
                    done.append(DonePart(part.spec, {output.name: output.path for output in made.outputs}))
                tools.folder = work.folder
                outcome = operation.join(work, done)
        for output in outcome.outputs:
            tools.verify(output.path, output.expected)
        found = Detected(outcome, reports, work.folder, tools.commands)
        found.json = json.loads((work.folder / "detections.json").read_text())
        return found

    return run


def test_what_is_seen_and_heard_is_found_with_its_time_and_place(detected: Detect, drawn: Path) -> None:
    found = detected(drawn, ALL)
    white, gray = found.of("rectangles")
    assert (white["text"], gray["text"]) == ("AB12CD", "AB12CE")
    for each, start, end in ((white, 1.0, 5.0), (gray, 2.0, 6.5)):
        assert start <= each["start"] <= start + SECONDS_BETWEEN
        assert end - SECONDS_BETWEEN <= each["end"] <= end
        assert each["path"][0][0] == each["start"]
        assert each["path"][-1][0] == each["end"]
        for time, x, y, width, height in each["path"]:
            left = (20 + 20 * time) / 320 if each is white else 200 / 320
            assert (x, y) == pytest.approx((left, (40 if each is white else 100) / 180), abs=0.01)
            assert (width, height) == pytest.approx((1 / 8, 1 / 9), abs=0.01)
    assert found.spans("silence") == [pytest.approx((5.0, 8.0), abs=0.1)]
    assert found.spans("scenes") == found.spans("black") == [(0.0, 8.0)]
    assert found.json["frames"] == {"looked_at": 41, "width": 320, "height": 180}
    assert found.json["duration"] == pytest.approx(8.0, abs=0.05)
    starts = [each["start"] for each in found.json["finds"]]
    assert starts == sorted(starts)
    assert [each["id"] for each in found.json["finds"]] == list(range(1, len(starts) + 1))
    decoders = [command for command in found.commands if {"-filter:v", "-filter:a"} & set(command)]
    assert len(decoders) == 1  # one reading for all


def test_the_message_counts_in_frames_of_the_file(detected: Detect, drawn: Path) -> None:
    found = detected(drawn)
    assert found.outcome.message == "Processed 200/200 frames (2 unique rectangles, 42 detections)"
    pattern = re.compile(r"Processed \d+/200 frames \(\d unique rectangles?, \d+ detections?\)")
    shown = [report.message for report in found.reports if report.message.startswith("Processed")]
    assert shown
    assert all(map(pattern.fullmatch, shown))
    assert detected(drawn, ["scenes"]).outcome.message == "Processed 200/200 frames (1 scene)"
    assert detected(drawn, ["silence"]).outcome.message == "Processed the file (1 silence)"


def test_a_crop_shows_the_thing_at_its_best(detected: Detect, drawn: Path) -> None:
    found = detected(drawn)
    for each, level in zip(found.of("rectangles"), (255, 160), strict=True):
        place = each["crop"]
        raw = decoded(found.folder / place["image"], "-f", "rawvideo", "-pix_fmt", "gray")
        sheet = np.frombuffer(raw, np.uint8).reshape(-1, 48 + 240)
        crop = sheet[place["y"] : place["y"] + place["height"], place["x"] : place["x"] + place["width"]]
        assert crop.shape == (place["height"], place["width"])
        assert np.median(crop) == pytest.approx(level, abs=12)
        assert crop[:, 0].max() < 60  # with a margin around it


def test_the_other_formats_say_the_same(detected: Detect, drawn: Path) -> None:
    found = detected(drawn, ["rectangles", "silence"])
    cues = re.findall(r"(\S+) --> (\S+)\n(.*)\n", (found.folder / "detections.vtt").read_text())
    assert [words for _, _, words in cues] == ["rectangle AB12CD", "rectangle AB12CE", "silence"]
    with (found.folder / "detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, each in zip(rows, found.json["finds"], strict=True):
        assert (row["detector"], row["text"], float(row["start"])) == (each["detector"], each["text"], each["start"])
    assert rows[0]["image"] == "crops-001.jpg"
    assert [output.name for output in found.outcome.outputs] == [
        "detections.json", "detections.vtt", "detections.csv", "crops-001.jpg",
    ]  # fmt: skip


def test_nothing_found_leaves_no_cues_and_no_crops(detected: Detect, drawn: Path) -> None:
    found = detected(drawn, min_confidence=1, region="0%, 50%, 100%, 50%")
    assert [output.name for output in found.outcome.outputs] == ["detections.json", "detections.csv"]
    assert found.json["finds"] == []
    assert found.outcome.message == "Processed 200/200 frames (0 unique rectangles, 0 detections)"


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_spans_give_what_the_whole_gives(detected: Detect, drawn: Path, tmp_path: Path, container: str) -> None:
    """A find and an event that go over a border are one, and nothing at a border is found twice."""
    path = tmp_path / f"late.{container}"
    ffmpeg("-i", str(drawn), "-c", "copy", "-output_ts_offset", "3", str(path))
    whole, divided = detected(path, ALL), detected(path, ALL, spans=1.5)
    assert divided.json == whole.json
    assert divided.outcome.message == whole.outcome.message
    assert sum("-filter:v" in command for command in divided.commands) == 5
    assert sum("-filter:a" in command for command in divided.commands) == 1
    names = ("detections.vtt", "detections.csv")
    assert [(divided.folder / name).read_bytes() for name in names] == [
        (whole.folder / name).read_bytes() for name in names
    ]


def test_frames_sent_some_at_a_time_are_compared_with_the_one_before_all_the_same(
    detected: Detect, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = detected(drawn, ["motion", "rectangles"])
    monkeypatch.setattr(frame_feeder, "_MOST_FRAMES", 3)
    assert detected(drawn, ["motion", "rectangles"]).json == whole.json


def test_times_are_those_at_which_frames_are_shown(detected: Detect, tmp_path: Path) -> None:
    """The picture begins a second after the sound, and its frames are uneven: half of them are a second later."""
    path = tmp_path / "uneven.mkv"
    late = ["-vf", "setpts='PTS+(1+gte(T,4))/TB'", "-fps_mode", "passthrough"]
    ffmpeg(
        "-f", "lavfi", "-i", CLIP, "-f", "lavfi", "-i", "sine=440:d=5", *late, *X264.split(), "-c:a", "aac", str(path)
    )
    found = detected(path, max_fps=25)
    assert [(each["start"], each["end"]) for each in found.of("rectangles")] == [
        pytest.approx((2.0, 6.96), abs=0.05),
        pytest.approx((3.0, 8.48), abs=0.05),
    ]
    assert detected(path, max_fps=25, spans=2.0).json == found.json


def test_places_are_those_of_the_picture_as_it_is_shown(detected: Detect, drawn: Path, tmp_path: Path) -> None:
    turned, wide = tmp_path / "turned.mp4", tmp_path / "wide.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(drawn), "-c", "copy", str(turned))
    ffmpeg("-i", str(drawn), "-vf", "setsar=2", *X264.split(), str(wide))
    _, gray = detected(turned).of("rectangles")
    assert gray["path"][0][1:] == pytest.approx([100 / 180, 80 / 320, 1 / 9, 1 / 8], abs=0.01)
    found = detected(wide)
    _, gray = found.of("rectangles")
    assert found.json["frames"]["width"] == 640
    assert gray["path"][0][1:] == pytest.approx([200 / 320, 100 / 180, 1 / 8, 1 / 9], abs=0.01)
    assert gray["crop"]["width"] > 80


def test_a_region_is_all_that_is_looked_at_and_places_are_still_those_of_the_picture(
    detected: Detect, drawn: Path
) -> None:
    found = detected(drawn, region="50%, 50%, 50%, 50%")
    [gray] = found.of("rectangles")
    assert gray["text"] == "AB12CE"
    assert gray["path"][0][1:] == pytest.approx([200 / 320, 100 / 180, 1 / 8, 1 / 9], abs=0.01)
    assert found.json["frames"] == {"looked_at": 41, "width": 160, "height": 90}


@pytest.mark.parametrize(
    ("params", "looked_at"), [({"frame_skip": 10}, 20), ({"max_fps": 1}, 9), ({"max_fps": 60}, 200)]
)
def test_fewer_frames_are_looked_at_if_that_is_wanted(
    detected: Detect, drawn: Path, params: dict[str, Any], looked_at: int
) -> None:
    assert detected(drawn, **params).json["frames"]["looked_at"] == looked_at


def test_what_is_less_sure_is_left_out(detected: Detect, drawn: Path) -> None:
    assert [each["text"] for each in detected(drawn, min_confidence=0.9).of("rectangles")] == ["AB12CD"]


def test_a_file_without_what_a_detector_needs_is_refused(
    detected: Detect, clips: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(UnfitMedia, match="“silence” needs sound, and this file has none"):
        detected(clips("only-picture.mp4"), ["scenes", "silence"])
    with pytest.raises(UnfitMedia, match="“scenes” needs a picture, and this file has none"):
        detected(clips("only-sound.mp4"), ["scenes", "silence"], kind="audio")
    assert detected(clips("speech.flac"), ["silence"], kind="audio").json["frames"]["looked_at"] == 0


def test_of_a_file_that_was_cut_off_the_beginning_is_read(detected: Detect, drawn: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    ffmpeg("-i", str(drawn), "-c", "copy", str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert detected(path).of("rectangles")[0]["start"] == pytest.approx(1.1, abs=0.1)


def test_of_a_file_whose_end_is_missing_the_spans_that_are_there_are_read(
    detected: Detect, drawn: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.mp4"
    ffmpeg("-i", str(drawn), "-an", "-c", "copy", "-movflags", "+faststart", str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    whole, divided = detected(path), detected(path, spans=1.5)
    assert whole.of("rectangles")
    assert divided.json["finds"] == whole.json["finds"]
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])  # the index alone
    for spans in (None, 1.5):
        with pytest.raises(BadMedia, match="Nothing can be read from this file"):
            detected(path, spans=spans)


@pytest.mark.parametrize("name", ["pq.mp4", "odd.mp4", "ten-bits.mp4", "film.ts", "uneven.mp4", "halves.ts"])
def test_pictures_of_every_kind_are_looked_at(detected: Detect, clips: Callable[[str], Path], name: str) -> None:
    found = detected(clips(name), ["scenes", "black", "freeze", "motion"])
    assert found.json["frames"]["looked_at"] >= 3
    assert len(found.of("scenes")) == 1


def test_a_large_picture_is_looked_at_in_a_smaller_size(detected: Detect, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    ffmpeg("-f", "lavfi", "-i", f"{CLIP},scale=2560:1440", "-t", "2", *X264.split(), str(path))
    found = detected(path, region="0, 0, 0.5, 1")
    assert (found.json["frames"]["width"], found.json["frames"]["height"]) == (640, 720)
    assert found.of("rectangles")[0]["path"][0][3:] == pytest.approx([1 / 8, 1 / 9], abs=0.01)
