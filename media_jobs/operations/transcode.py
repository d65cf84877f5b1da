"""The operation `transcode`: one video for any player: upright, even size, square pixels, 8 bits, standard range."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import Facts
from .base import HEAVY, Outcome, Output, Work
from .divisible import DivisibleOperation, DonePart, Indivisible, Part
from .shared.split_encode import PIECE_NAME, Piece, join_pieces, split_picture
from .shared.time_range import output_limit
from .shared.video_parameters import TranscodeParams
from .shared.video_plan import VideoPlan

_FEWEST_SLOTS = 2  # that share the work of one job


class Transcode(DivisibleOperation[TranscodeParams]):
    name = "transcode"
    version = 2
    title = "Transcode"
    summary = "Makes a video that any player can play, with the codec, size and quality of your choice."
    lane = HEAVY
    kinds = frozenset({"video"})
    parameters = TranscodeParams

    def check(self, params: TranscodeParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            VideoPlan(params, facts)

    def run(self, work: Work[TranscodeParams]) -> Outcome:
        plan = VideoPlan(work.params, work.main.facts)
        path = work.folder / f"video.{plan.container.name}"
        seek = work.params.time_range.seek(work.main.facts.format)
        work.tools.ffmpeg(
            Command(
                sources=[Source(work.main.path, work.main.facts.format, seek.source, plan.picture.stream.pixels)],
                targets=[Target(path, (*seek.target, *plan.options(work.threads)))],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length or work.params.time_range.duration(work.main.facts.duration),
            frames=plan.frames,
        )
        return Outcome([Output(path.name, path, "video", plan.container.media_type, plan.expected())])

    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        return slots >= _FEWEST_SLOTS and (facts.duration or 0) >= least

    def split(self, work: Work[TranscodeParams], slots: int) -> Sequence[Part]:
        if work.params.fps or not work.params.time_range.is_whole:
            raise Indivisible("fps, start and end are not divided")
        return split_picture(work.main, slots)

    def run_part(self, work: Work[TranscodeParams], spec: Mapping[str, Any]) -> Outcome:
        plan, piece = VideoPlan(work.params, work.main.facts), Piece(**spec)
        path = work.folder / PIECE_NAME
        options = (*plan.picture.options(work.threads, piece), "-an", *piece.muxer)
        work.tools.ffmpeg(
            Command(
                sources=[Source(work.main.path, work.main.facts.format, piece.seek, plan.picture.stream.pixels)],
                targets=[Target(path, options)],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            frames=piece.frames,
        )
        return Outcome([Output(path.name, path, "video", "video/mp4", piece.expected(plan.picture.size))])

    def join(self, work: Work[TranscodeParams], parts: Sequence[DonePart]) -> Outcome:
        plan = VideoPlan(work.params, work.main.facts)
        joined = join_pieces([part.files[PIECE_NAME] for part in parts], work.folder / "joined.mp4")
        path = work.folder / f"video.{plan.container.name}"
        sources = [Source(joined, "mov"), Source(work.main.path, work.main.facts.format)]
        copied = ("-map", "0:v:0", "-c:v", "copy", *plan.picture.codec.tag)
        options = (*copied, *plan.sound_options(source=1), "-map_chapters", "-1", *plan.container.muxer)
        work.tools.ffmpeg(
            Command(
                sources=sources if plan.sound else sources[:1],
                targets=[Target(path, options)],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length,
            share=(0.97, 1.0),
            verb="Joined",
        )
        frames = sum(Piece(**part.spec).frames for part in parts)
        expected = replace(plan.expected(), frames=frames)
        return Outcome([Output(path.name, path, "video", plan.container.media_type, expected)])
