"""The operation `transcode`: one video for any player: upright, even size, square pixels, 8 bits, standard range."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import Facts
from ..hls.joined_pieces import join_pieces
from .base import HEAVY, Outcome, Output, Work
from .divisible import DivisibleOperation, DonePart, Indivisible, Part
from .shared.split_encode import PIECE_NAME, Piece, piece_paths, split_picture
from .shared.time_range import output_limit
from .shared.video_parameters import TranscodeParams
from .shared.video_plan import VideoPlan

_FEWEST_SLOTS = 2  # that share the work of one job
_SOUND = {"make": "sound"}
_SOUND_COST = 0.03  # of that of a picture of the same length
_AS_IT_IS = ("-copyts",)  # do not move what begins later to 0
_DEMUXERS = {"mp4": "mov", "webm": "matroska", "mkv": "matroska"}


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
        plan = VideoPlan(work.params, work.main.facts)
        return _with_sound(plan, split_picture(work, plan.picture.stream, slots))

    def run_part(self, work: Work[TranscodeParams], spec: Mapping[str, Any]) -> Outcome:
        plan = VideoPlan(work.params, work.main.facts)
        output = _encode_sound(work, plan) if spec == _SOUND else _encode_piece(work, plan, Piece(**spec))
        return Outcome([output])

    def join(self, work: Work[TranscodeParams], parts: Sequence[DonePart]) -> Outcome:
        plan = VideoPlan(work.params, work.main.facts)
        pieces = [(Piece(**part.spec), part.files[PIECE_NAME]) for part in parts if part.spec != _SOUND]
        path, joined = work.folder / f"video.{plan.container.name}", work.folder / "joined.mp4"
        made = join_pieces(piece_paths(pieces), joined)
        sound = next((part.files[_sound_name(plan)] for part in parts if part.spec == _SOUND), None)
        if sound is not None:
            source = Source(sound, _DEMUXERS[plan.container.name], _AS_IT_IS)
        else:
            source = Source(work.main.path, work.main.facts.format, pieces[0][0].whole_source)
        options = ("-map", "0:v:0", "-c:v", "copy", *plan.picture.codec.tag, *_copied_sound(plan, sound))
        picture = Source(joined, "mov", (*_AS_IT_IS, "-itsoffset", f"{float(-made.delay):.6f}"))
        work.tools.ffmpeg(
            Command(
                sources=[picture, *([source] if plan.sound else [])],
                targets=[Target(path, (*options, "-map_chapters", "-1", *plan.container.muxer))],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length,
            share=(0.97, 1.0),
            verb="Joined",
        )
        expected = replace(plan.expected(), frames=made.frames)
        return Outcome([Output(path.name, path, "video", plan.container.media_type, expected)])


def _with_sound(plan: VideoPlan, pieces: list[Part]) -> list[Part]:
    """The sound is a part, too, if it is encoded. The longest parts come first: so all workers end together."""
    if plan.sound is None or plan.sound.is_copied:
        return pieces
    sound = Part(_SOUND, _SOUND_COST * sum(piece.weight for piece in pieces))
    place = next((at for at, piece in enumerate(pieces) if piece.weight < sound.weight), len(pieces))
    return [*pieces[:place], sound, *pieces[place:]]


def _copied_sound(plan: VideoPlan, made: Path | None) -> tuple[str, ...]:
    """Options for the sound that was encoded, or for that of the file itself."""
    return plan.sound_options(source=1) if made is None else ("-map", "1:a:0", "-c:a", "copy")


def _sound_name(plan: VideoPlan) -> str:
    return f"sound.{plan.container.name}"


def _encode_sound(work: Work[TranscodeParams], plan: VideoPlan) -> Output:
    """In the container of the whole, which rounds its time stamps."""
    path = work.folder / _sound_name(plan)
    work.tools.ffmpeg(
        Command(
            sources=[Source(work.main.path, work.main.facts.format)],
            targets=[Target(path, (*plan.sound_options(), "-vn", "-map_chapters", "-1", *plan.container.muxer))],
            threads=work.threads,
            max_duration=output_limit(plan.length),
        ),
        seconds=plan.length,
    )
    return Output(path.name, path, "audio", plan.container.media_type, None)


def _encode_piece(work: Work[TranscodeParams], plan: VideoPlan, piece: Piece) -> Output:
    path = work.folder / PIECE_NAME
    for seek in (piece.seek, piece.whole_source):
        options = (*plan.picture.options(work.threads, piece), "-an", *piece.muxer)
        work.tools.ffmpeg(
            Command(
                sources=[Source(work.main.path, work.main.facts.format, seek, plan.picture.stream.pixels)],
                targets=[Target(path, options)],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            frames=piece.frames,
        )
        if not piece.begins_late(path):
            break  # else the index leads to a later key frame: decode all that is before
    return Output(path.name, path, "video", "video/mp4", None)
