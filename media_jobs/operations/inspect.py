"""The operation `inspect`: reads the facts of a file, and makes a poster or a picture of the waveform.

It runs automatically on every uploaded file.
"""

from ..errors import BadMedia, Failure, ToolFailed
from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.probing.verification import Expected
from .base import QUICK, Operation, Outcome, Output, Params, Work
from .shared.best_frame import best_frame
from .shared.still_images import FrameExtractor
from .shared.time_range import likely_duration, output_limit

POSTER_WIDTH = 640
WAVEFORM_SIZE = (640, 160)
WAVEFORM_COLOUR = "0x4f7cac"
# showwavespic keeps the whole input in memory. So it gets the power of the sound at a low rate, which looks the same:
# a thousand values a second, 60 MB for four hours. The cube root turns power into loudness, and shows quiet parts.
WAVEFORM_RATE = 1000


class Inspect(Operation[Params]):
    name = "inspect"
    version = 3
    title = "Inspect"
    summary = "Reads the format, duration and streams of a file, and makes a preview: a poster or a waveform."
    lane = QUICK
    kinds = frozenset({"video", "audio", "image", "subtitle"})
    reads_facts = True
    message_without_outputs = "The preview could not be stored."
    parameters = Params

    def run(self, work: Work[Params]) -> Outcome:
        facts = work.main.facts
        if not (facts.video or facts.audio or facts.subtitles):
            raise BadMedia("This file has no picture, sound or subtitles: it is damaged or cut off.")
        try:
            return Outcome(_picture(work, facts), facts)
        except Failure as failure:
            # The facts are useful without a picture: the job succeeds, and its message says why there is none.
            return Outcome([], facts, f"No preview could be made. {failure.detail}")


def _picture(work: Work[Params], facts: Facts) -> list[Output]:
    if facts.picture is not None:
        return [_poster(work, facts)]
    return [_waveform(work, facts)] if facts.audio else []


def _poster(work: Work[Params], facts: Facts) -> Output:
    extractor = FrameExtractor(
        work.tools, work.main.path, facts, work.folder, threads=work.threads, width=POSTER_WIDTH, format="jpg"
    )
    path = extractor.at(0.0) if work.main.kind == "image" else best_frame(extractor)
    return extractor.output(path, "poster")


def _waveform(work: Work[Params], facts: Facts) -> Output:
    path = work.folder / "waveform.png"
    width, height = WAVEFORM_SIZE
    sound = facts.audio[0]
    length = likely_duration(facts, sound)
    graph = (
        f"[0:{sound.index}]aformat=sample_fmts=flt:channel_layouts=mono,asplit[one][two];"
        f"[one][two]amultiply,aresample={WAVEFORM_RATE},asetnsamples=n={WAVEFORM_RATE},"
        f"showwavespic=s={width}x{height}:colors={WAVEFORM_COLOUR}:scale=cbrt[wave]"
    )
    options = ("-map", "[wave]", "-frames:v", "1", "-c:v", "png", "-f", "image2", "-update", "1")
    source = Source(work.main.path, facts.format)
    command = Command(
        [source], [Target(path, options)], filters=graph, threads=work.threads, max_duration=output_limit(length)
    )
    log = ""
    try:
        work.tools.ffmpeg(command, seconds=length, verb="Read")
    except (ToolFailed, BadMedia) as failure:  # a part of the waveform may be there
        log = failure.log
    if not (path.exists() and path.stat().st_size):
        raise BadMedia("No sound can be read from this file: it is damaged or cut off.", log=log)
    return Output(path.name, path, "image", "image/png", Expected(video=1, width=width, height=height, frames=1))
