"""The operation `transcode`: one video for any player: upright, even size, square pixels, 8 bits, standard range."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import Facts
from ..hls.joined_pieces import join_pieces
from .base import HEAVY, Outcome, Output, Work
from .divisible import PARTS_SHARE, Again, DivisibleOperation, DonePart, Indivisible, Part
from .shared.codecs import VIDEO
from .shared.cover_art import extract_cover
from .shared.quality_measure import Excerpt
from .shared.quality_target import QualityTarget, Share
from .shared.split_encode import PIECE_NAME, Piece, piece_paths, split_picture
from .shared.subtitle_tracks import SubtitleTrack, extract_subtitles
from .shared.time_range import output_limit
from .shared.video_parameters import TranscodeParams
from .shared.video_plan import VideoPlan

_FEWEST_SLOTS = 2  # that share the work of one job
_SOUND = {"make": "sound"}
_SOUND_COST = 0.03  # of that of a picture of the same length
_AS_IT_IS = ("-copyts",)  # do not move what begins later to 0
_OF_TARGET = {"crf", "encodes"}  # what a part knows besides its piece: which CRF, and how often it is made by then


class Transcode(DivisibleOperation[TranscodeParams]):
    name = "transcode"
    version = 5
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
        if work.params.vmaf is not None:
            return self._run_to_target(work, plan)
        return Outcome([self._encode(work, plan)])

    def _run_to_target(self, work: Work[TranscodeParams], plan: VideoPlan) -> Outcome:
        target = QualityTarget(work, plan, _whole(work, plan))
        stages = target.stages
        crf = target.search(stages.search)
        output = self._encode(work, plan, crf, stages.encode)
        quality = target.measure(output.path, crf, stages.measure)
        if (corrected := target.correction(quality)) is not None:
            work.tools.report(f"Encoding again with CRF {corrected:g}: {quality.message(plan.picture.codec.name)}")
            output = self._encode(work, plan, corrected, stages.encode_again)
            quality = target.measure(output.path, corrected, stages.measure_again, encodes=2)
        return Outcome([output], message=quality.message(plan.picture.codec.name), measured=quality.figures)

    def _encode(
        self, work: Work[TranscodeParams], plan: VideoPlan, crf: float | None = None, share: Share = (0.0, 1.0)
    ) -> Output:
        path = work.folder / f"video.{plan.container.name}"
        seek = work.params.time_range.seek(work.main.facts.format)
        subtitles = _subtitles(work, plan)
        cover = extract_cover(work, plan.metadata.cover_apart)
        source = Source(work.main.path, work.main.facts.format, seek.source, plan.picture.stream.pixels)
        options = (*seek.target, *plan.options(work.threads, crf, subtitles, cover))
        work.tools.ffmpeg(
            Command(
                sources=[source, *(Source(each.path, each.format, seek.late) for each in subtitles)],
                targets=[Target(path, options)],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length or work.params.time_range.duration(work.main.facts.duration),
            frames=plan.frames,
            share=share,
        )
        return Output(path.name, path, "video", plan.container.media_type, plan.expected(cover))

    def parts_share(self, params: TranscodeParams) -> float:
        return PARTS_SHARE / (1 + (VIDEO[params.codec].measuring if params.vmaf is not None else 0))

    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        return slots >= _FEWEST_SLOTS and (facts.duration or 0) >= least

    def split(self, work: Work[TranscodeParams], slots: int) -> Sequence[Part]:
        if work.params.fps or not work.params.time_range.is_whole:
            raise Indivisible("fps, start and end are not divided")
        plan = VideoPlan(work.params, work.main.facts)
        pieces = split_picture(work, plan.picture.stream, slots)
        if work.params.vmaf is not None:
            crf = QualityTarget(work, plan, _whole_of_pieces(plan, pieces)).search()
            pieces = [Part(piece.spec | {"crf": crf, "encodes": 1}, piece.weight) for piece in pieces]
        return _with_sound(plan, pieces)

    def run_part(self, work: Work[TranscodeParams], spec: Mapping[str, Any]) -> Outcome:
        plan = VideoPlan(work.params, work.main.facts)
        output = _encode_sound(work, plan) if spec == _SOUND else _encode_piece(work, plan, spec)
        return Outcome([output])

    def join(self, work: Work[TranscodeParams], parts: Sequence[DonePart]) -> Outcome | Again:
        plan = VideoPlan(work.params, work.main.facts)
        output = self._join(work, plan, parts)
        if work.params.vmaf is None:
            return Outcome([output])
        pieces = {number: part for number, part in enumerate(parts) if part.spec != _SOUND}
        crf, encodes = (next(iter(pieces.values())).spec[name] for name in ("crf", "encodes"))
        target = QualityTarget(work, plan, _whole_of_pieces(plan, list(pieces.values())))
        quality = target.measure(output.path, crf, (self._joined_at(work.params), 1.0), encodes)
        if encodes == 1 and (corrected := target.correction(quality)) is not None:
            changed = {"crf": corrected, "encodes": 2}
            return Again({number: {**part.spec, **changed} for number, part in pieces.items()})
        return Outcome([output], message=quality.message(plan.picture.codec.name), measured=quality.figures)

    def _joined_at(self, params: TranscodeParams) -> float:
        """The progress once the pieces are one file. Measuring it may be the rest."""
        return self.parts_share(params) + 1 - PARTS_SHARE

    def _join(self, work: Work[TranscodeParams], plan: VideoPlan, parts: Sequence[DonePart]) -> Output:
        pieces = [(_piece(part.spec), part.files[PIECE_NAME]) for part in parts if part.spec != _SOUND]
        path, joined = work.folder / f"video.{plan.container.name}", work.folder / "joined.mp4"
        made = join_pieces(piece_paths(pieces), joined)
        sound = next((part.files[_sound_name(plan)] for part in parts if part.spec == _SOUND), None)
        if sound is not None:
            source = Source(sound, plan.container.demuxer, _AS_IT_IS)
        else:
            source = Source(work.main.path, work.main.facts.format, pieces[0][0].whole_source)
        options = ("-map", "0:v:0", "-c:v", "copy", *plan.picture.codec.tag, *_copied_sound(plan, sound))
        picture = Source(joined, "mov", (*_AS_IT_IS, "-itsoffset", f"{float(-made.delay):.6f}"))
        sources = [picture, *([source] if plan.sounds else [])]
        subtitles = _subtitles(work, plan)
        texts = plan.subtitle_options(subtitles, source=len(sources))
        sources += [Source(each.path, each.format, _AS_IT_IS) for each in subtitles]
        cover = extract_cover(work, plan.metadata.cover_apart)
        labels = plan.labels(subtitles, cover, source=len(sources))
        if plan.metadata.keep:
            sources.append(Source(work.main.path, work.main.facts.format))
        work.tools.ffmpeg(
            Command(
                sources=sources,
                targets=[Target(path, (*options, *texts, *labels, *plan.container.muxer))],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length,
            share=(self.parts_share(work.params), self._joined_at(work.params)),
            verb="Joined",
        )
        expected = replace(plan.expected(cover), frames=made.frames)
        return Output(path.name, path, "video", plan.container.media_type, expected)


def _whole(work: Work[TranscodeParams], plan: VideoPlan) -> Excerpt:
    """All of the source, as `run` encodes it."""
    seek = work.params.time_range.seek(work.main.facts.format)
    seconds = plan.length or work.params.time_range.duration(work.main.facts.duration)
    frames = (*seek.target, *plan.picture.frames())
    return Excerpt(seek.source, frames, output_limit(plan.length), plan.frames, seconds)


def _whole_of_pieces(plan: VideoPlan, parts: Sequence[Part | DonePart]) -> Excerpt:
    """All of the source, as its pieces are encoded, one after the other."""
    pieces = [_piece(part.spec) for part in parts]
    whole = replace(pieces[0], begin=None, end=None, frames=sum(piece.frames for piece in pieces))
    frames = plan.picture.frames(whole)
    return Excerpt(whole.whole_source, frames, output_limit(plan.length), whole.frames, plan.length)


def _piece(spec: Mapping[str, Any]) -> Piece:
    return Piece(**{name: value for name, value in spec.items() if name not in _OF_TARGET})


def _subtitles(work: Work[TranscodeParams], plan: VideoPlan) -> list[SubtitleTrack]:
    if work.params.tracks != "all":
        return []
    return extract_subtitles(work, work.params.time_range.seek(work.main.facts.format), plan.length)


def _with_sound(plan: VideoPlan, pieces: list[Part]) -> list[Part]:
    """The sounds are a part, too, if they are encoded. The longest parts come first: so all workers end together."""
    encoded = sum(not sound.is_copied for sound in plan.sounds)
    if not encoded:
        return pieces
    sound = Part(_SOUND, encoded * _SOUND_COST * sum(piece.weight for piece in pieces))
    place = next((at for at, piece in enumerate(pieces) if piece.weight < sound.weight), len(pieces))
    return [*pieces[:place], sound, *pieces[place:]]


def _copied_sound(plan: VideoPlan, made: Path | None) -> tuple[str, ...]:
    """Options for the sound that was encoded, or for that of the file itself."""
    return plan.sound_options(source=1) if made is None else ("-map", "1:a", "-c:a", "copy")


def _sound_name(plan: VideoPlan) -> str:
    return f"sound.{plan.container.name}"


def _encode_sound(work: Work[TranscodeParams], plan: VideoPlan) -> Output:
    """In the container of the whole, which rounds its time stamps."""
    path = work.folder / _sound_name(plan)
    work.tools.ffmpeg(
        Command(
            sources=[Source(work.main.path, work.main.facts.format)],
            targets=[Target(path, (*plan.sound_options(), "-vn", *plan.metadata.of_part, *plan.container.muxer))],
            threads=work.threads,
            max_duration=output_limit(plan.length),
        ),
        seconds=plan.length,
    )
    return Output(path.name, path, "audio", plan.container.media_type, None)


def _encode_piece(work: Work[TranscodeParams], plan: VideoPlan, spec: Mapping[str, Any]) -> Output:
    path, piece = work.folder / PIECE_NAME, _piece(spec)
    for seek in (piece.seek, piece.whole_source):
        options = (*plan.picture.options(work.threads, piece, spec.get("crf")), "-an", *piece.muxer)
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
