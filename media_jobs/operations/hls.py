"""The operation `hls`: renditions that players stream and change between, in H.264 and AAC.

The source rendition is the file itself or a copy of it, if its streams allow that. Lower ones are encoded in runs of
segments by all free workers, the beginning first, and play while they grow (queue/hls_renditions.py).
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from ..errors import UnfitMedia
from ..ffmpeg.probing.media_facts import Facts, VideoStream
from ..ffmpeg.probing.verification import Expected
from ..hls.fragments import MEDIA_TYPE
from ..hls.packaged import count_frames, join_runs
from ..hls.playlists import SUBTITLE_TYPE
from .base import BULK, Outcome, Output, Params, Work
from .divisible import DivisibleOperation, DonePart, Part
from .shared.hls_head import HEAD, is_worth_a_head, make_head
from .shared.hls_runs import Run, RunEncoder, pieces_in_order, run_of, runs_of
from .shared.hls_sounds import encode_sounds
from .shared.hls_source import PICTURE, Prepared, prepare
from .shared.hls_subtitles import extract_subtitles
from .shared.parameters import Heights
from .shared.time_range import TimeRange, likely_duration

_LADDER = (1080, 720, 360)
_SHORTEST = 8.0  # seconds; what is shorter is not worth children
_KINDS = ["video", "audio", "subtitle"]  # the order of the outputs
_COPY, _SOUND, _RUN = "copy", "sound", "run"
_SOUND_COST = 0.05  # of that of a picture of the same length


class HlsParams(Params):
    heights: Heights | None = Field(
        None,
        title="Heights",
        description="Of the lower renditions, in pixels, such as “720, 360”. The picture is never enlarged. If left "
        "out: those of 1080, 720 and 360 that are lower than the original. “none”: only the original.",
    )


class Hls(DivisibleOperation[HlsParams]):
    name = "hls"
    version = 1
    title = "HLS"
    summary = "Makes a video playable at once in any browser, in several sizes that adapt to the connection."
    lane = BULK
    kinds = frozenset({"video"})
    parameters = HlsParams

    def check(self, params: HlsParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            TimeRange().check(likely_duration(facts, _picture(facts), *facts.audio))

    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        return facts.duration is None or facts.duration >= _SHORTEST

    def run(self, work: Work[HlsParams]) -> Outcome:
        """All parts, one after the other."""
        self.check(work.params, work.main.kind, work.main.facts)
        parts = self._parts(work)
        if isinstance(parts, Outcome):
            return parts
        done = []
        for number, part in enumerate(parts):
            outputs = part.outputs
            if not outputs:
                folder = work.folder / f"part{number}"
                folder.mkdir(mode=0o700)
                outputs = self.run_part(replace(work, folder=folder), part.spec).outputs
            done.append(DonePart(part.spec, {output.name: output.path for output in outputs}))
        return self._join(work, done)

    def split(self, work: Work[HlsParams], slots: int) -> Sequence[Part] | Outcome:
        self.check(work.params, work.main.kind, work.main.facts)
        if is_worth_a_head(work):
            return [Part({"make": HEAD}, 0.001, lane=self.lane)]
        return self._parts(work)

    def _parts(self, work: Work[HlsParams]) -> Sequence[Part] | Outcome:
        picture = _picture(work.main.facts)
        prepared = prepare(work, picture)
        made = [*prepared.copies, *extract_subtitles(work, prepared.shift)]
        runs = _runs(prepared, picture, work.params.heights)
        if not runs and not prepared.sounds:
            return Outcome(made, message=prepared.message)
        told = {"message": prepared.message}
        parts = []
        if made:
            parts.append(Part({"make": _COPY, **told}, 0.001, made))
        if prepared.sounds:
            # ffmpeg notices a leap of days in time stamps only where it may change them.
            is_sane = prepared.segments is not None and work.main.facts.duration is not None
            spec = {
                "make": _SOUND,
                "sounds": [work.main.facts.audio.index(sound) for sound in prepared.sounds],
                "shift": prepared.shift if is_sane else None,
                **told,
            }
            parts.append(Part(spec, _SOUND_COST * (work.main.facts.duration or 1)))
        cost = {run.name: run.height**2 / picture.height**2 for run in runs}
        parts += [Part({"make": _RUN, "run": run.spec, **told}, run.seconds * cost[run.name]) for run in runs]
        return parts

    def run_part(self, work: Work[HlsParams], spec: Mapping[str, Any]) -> Outcome:
        picture = _picture(work.main.facts)
        match spec["make"]:
            case "copy":
                prepared = prepare(work, picture)
                return Outcome([*prepared.copies, *extract_subtitles(work, prepared.shift)])
            case "sound":
                return Outcome(encode_sounds(work, spec["sounds"], spec["shift"]))
            case "head":
                return Outcome(make_head(work, picture))
            case _:
                return Outcome(RunEncoder(work, picture, run_of(spec["run"])).encode())

    def join(self, work: Work[HlsParams], parts: Sequence[DonePart]) -> Outcome | Sequence[Part]:
        parts = [part for part in parts if part.spec["make"] != HEAD]
        return self._join(work, parts) if parts else self._parts(work)

    def _join(self, work: Work[HlsParams], parts: Sequence[DonePart]) -> Outcome:
        outputs, runs = [], dict[str, list[tuple[Run, list[Path]]]]()
        for part in parts:
            if part.spec["make"] == _RUN:
                run = run_of(part.spec["run"])
                pieces = [part.files[name] for name in pieces_in_order(part.files)]
                runs.setdefault(run.name, []).append((run, pieces))
            else:
                outputs += [_whole(work.folder, name, path) for name, path in part.files.items()]
        for made in runs.values():
            outputs.append(_joined(work, made))
        outputs.sort(key=lambda output: _KINDS.index(output.kind))
        return Outcome(outputs, message=parts[0].spec["message"])


def _picture(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia("This file has no video.")
    return facts.picture


def _runs(prepared: Prepared, picture: VideoStream, wanted: Sequence[int] | None) -> list[Run]:
    """The beginning of all renditions first, and of each run the lowest first."""
    heights = [height for height in (_LADDER if wanted is None else wanted) if height < picture.height]
    if prepared.picture_reason:
        heights.append(picture.height)
    holds = bool(prepared.picture_reason)
    runs = [
        run
        for height in heights
        for run in runs_of(f"{height}p", height, prepared.segments, shift=prepared.shift, holds=holds)
    ]
    return sorted(runs, key=lambda run: (run.number, run.height))


def _whole(folder: Path, name: str, made: Path) -> Output:
    """What a part has made whole, under a name of our own."""
    path = folder / name
    if path != made:
        try:
            os.link(made.resolve(), path)
        except OSError:  # another filesystem
            shutil.copyfile(made, path)
    if path.suffix == ".vtt":
        return Output(name, path, "subtitle", SUBTITLE_TYPE)
    kind = "video" if name == PICTURE else "audio"
    return Output(name, path, kind, MEDIA_TYPE, Expected(video=1) if kind == "video" else Expected(audio=1))


def _joined(work: Work[Any], made: Sequence[tuple[Run, Sequence[Path]]]) -> Output:
    run = made[0][0]
    path = work.folder / f"{run.name}.mp4"
    ordered = sorted(made, key=lambda each: each[0].number)
    paths = [piece for _, pieces in ordered for piece in pieces]
    join_runs(paths, path)
    size = RunEncoder(work, _picture(work.main.facts), run).size
    frames = sum(map(count_frames, paths))
    return Output(
        path.name, path, "video", MEDIA_TYPE, Expected(video=1, width=size[0], height=size[1], frames=frames)
    )
