"""The operation `render`: one video of clips of several files, with their sound or another, and with burnt subtitles.

Each clip is encoded by a child, as it appears in the result. The parent joins them without decoding, and makes the
sound. A later render of the owner uses the encoded clips of this one that it has, too.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.probing.verification import Expected
from .base import HEAVY, Described, Outcome, Output, Work
from .divisible import DivisibleOperation, DonePart, Part
from .rendering.clip_encoder import PICTURE, SOUND, ClipRecipe, encode_clip
from .rendering.joined_picture import join_pictures
from .rendering.joined_sound import SAMPLE_RATE, join_sounds, samples_of
from .rendering.parameters import MAX_CLIPS, RenderParams
from .rendering.plan import RenderPlan, check_files
from .rendering.sound_mix import SoundMix
from .rendering.subtitles import texts_of
from .shared.audio_filters import measure_loudness, parse_loudness
from .shared.codecs import AUDIO, VIDEO, audio_encoder
from .shared.time_range import output_limit

_INPUT = "input"  # in the spec of a part: the number of the clip's file


class Render(DivisibleOperation[RenderParams]):
    name = "render"
    version = 2
    title = "Render"
    summary = "Makes one video of clips of several files: cuts, fades, soundtrack, loudness, burnt-in subtitles."
    lane = HEAVY
    kinds = frozenset({"video", "image"})
    max_inputs = MAX_CLIPS + 2
    parameters = RenderParams

    def check_files(self, params: RenderParams, files: Sequence[Described]) -> None:
        check_files(params, files)

    def file_ids(self, params: RenderParams) -> Sequence[UUID]:
        return [each for each in params.references() if isinstance(each, UUID)]

    def with_files(self, params: RenderParams, names: Mapping[int | UUID, int | UUID]) -> RenderParams:
        return params.with_files(names)

    def run(self, work: Work[RenderParams]) -> Outcome:
        done = []
        for number, part in enumerate(self.split(work, 1)):
            made = {each.name: each.path for each in self.run_part(work, part.spec).outputs}
            kept = {name: path.rename(work.folder / f"clip{number}.{name}") for name, path in made.items()}
            done.append(DonePart(part.spec, kept))
        return self.join(work, done)

    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        return True

    def split(self, work: Work[RenderParams], slots: int) -> Sequence[Part]:
        plan = RenderPlan(work.params, work.files)
        texts = [""] * len(plan.clips)
        if isinstance(work.params.subtitles, int):
            texts = texts_of(work, work.files[work.params.subtitles], plan.frame, plan.clips)
        recipes = [ClipRecipe.of(plan, clip, text) for clip, text in zip(plan.clips, texts, strict=True)]
        return [
            Part({_INPUT: planned.clip.file, **recipe.as_json()}, recipe.length)
            for planned, recipe in zip(plan.clips, recipes, strict=True)
        ]

    def inputs_of(self, spec: Mapping[str, Any]) -> Collection[int]:
        return {spec[_INPUT]}

    def recipe(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        return _recipe_of(spec).as_json()

    def run_part(self, work: Work[RenderParams], spec: Mapping[str, Any]) -> Outcome:
        return Outcome(encode_clip(work, work.files[spec[_INPUT]], _recipe_of(spec)))

    def join(self, work: Work[RenderParams], parts: Sequence[DonePart]) -> Outcome:
        return _Joining(work, parts).outcome()


class _Joining:
    def __init__(self, work: Work[RenderParams], parts: Sequence[DonePart]) -> None:
        self.work, self.params, self.parts = work, work.params, parts
        self.plan = RenderPlan(work.params, work.files)
        self.counts = [_recipe_of(part.spec).frames for part in parts]
        track = work.params.soundtrack
        soundtrack = work.files[track] if isinstance(track, int) else None
        is_replaced = soundtrack is not None and self.params.soundtrack_mode == "replace"
        clips = None if is_replaced or not self.plan.sound_codec else self._joined_sound()
        self.mix = SoundMix(self.params, clips, samples_of(sum(self.counts), self.plan.frame.rate), soundtrack)

    def _clips(self, name: str) -> list[tuple[Path, int]]:
        """This output of each clip, and the number of the clip's frames."""
        return list(zip((part.files[name] for part in self.parts), self.counts, strict=True))

    def _joined_sound(self) -> Path:
        sound = self.work.folder / "joined.au"
        join_sounds(self._clips(SOUND), self.plan.frame.rate, sound)
        return sound

    def outcome(self) -> Outcome:
        picture = self.work.folder / "joined.mp4"
        join_pictures(self._clips(PICTURE), self.plan.frame.rate, picture)
        filters, message = self._loudness()
        container = self.plan.container
        path = self.work.folder / f"video.{container.name}"
        copied = ("-map", "0:v:0", "-c:v", "copy", *VIDEO[self.params.codec].tag)
        sound = self._sound_options()
        self._ffmpeg(
            [Source(picture, "mov"), *(self.mix.sources if sound else [])],
            Target(path, (*copied, *sound, "-map_chapters", "-1", *container.muxer)),
            self.mix.graph(1, filters) if sound else "",
        )
        return Outcome([Output(path.name, path, "video", container.media_type, self._expected())], message=message)

    def _loudness(self) -> tuple[list[str], str]:
        """The filters that change the loudness, and what the owner should know."""
        target = self.params.loudness
        if target is None:
            return [], ""
        graph = self.mix.graph(0, [measure_loudness(target)])
        log = self._ffmpeg(self.mix.sources, Target(None, ("-map", "[sound]")), graph, verbose=True)
        found = parse_loudness(log)
        filters = [] if found.is_unknown else [found.normalize(target), f"aresample={SAMPLE_RATE}"]
        return filters, found.message(target)

    def _sound_options(self) -> tuple[str, ...]:
        name = self.plan.sound_codec
        return ("-map", "[sound]", *audio_encoder(AUDIO[name], 2, self.params.audio_bitrate)) if name else ()

    def _ffmpeg(self, sources: Sequence[Source], target: Target, graph: str, *, verbose: bool = False) -> str:
        command = Command(
            sources, [target], filters=graph, threads=self.work.threads, max_duration=output_limit(self.plan.length),
            verbose=verbose,
        )  # fmt: skip
        share = (0.97, 0.98) if verbose else (0.98, 1.0)
        return self.work.tools.ffmpeg(command, seconds=self.plan.length, share=share, verb="Joined")

    def _expected(self) -> Expected:
        frame, frames = self.plan.frame, self.plan.frames
        return Expected(
            duration=self.plan.length, tolerance=0.1, video=1, audio=1 if self.plan.sound_codec else 0,
            width=frame.width, height=frame.height, frames=frames, most_frames=frames,
        )  # fmt: skip


def _recipe_of(spec: Mapping[str, Any]) -> ClipRecipe:
    return ClipRecipe.from_json({name: value for name, value in spec.items() if name != _INPUT})
