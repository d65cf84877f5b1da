"""The operation `gif_preview`: a short animated GIF of a video. An example of a plug-in: see docs/plugins.md."""

from pydantic import Field

from media_jobs.operations.plugin_api import (
    HEAVY,
    Command,
    Expected,
    Facts,
    Operation,
    Outcome,
    Output,
    Params,
    Source,
    Start,
    Target,
    TimeRange,
    UnfitMedia,
    VideoStream,
    Work,
)


class GifParams(Params):
    start: Start = 0.0
    seconds: float = Field(3.0, gt=0, le=30, title="Length", description="Of the preview, in seconds.")
    width: int = Field(320, ge=16, le=1280, title="Width", description="In pixels.")
    fps: int = Field(10, ge=1, le=30, title="Frames per second", description="More make a smoother, larger file.")

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start, self.start + self.seconds)


class GifPreview(Operation[GifParams]):
    name = "gif_preview"
    version = 1
    title = "GIF preview"
    summary = "Makes a short animated GIF of a video."
    lane = HEAVY
    kinds = frozenset({"video"})
    parameters = GifParams

    def check(self, params: GifParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            _picture(facts)
            TimeRange(params.start).check(facts.duration)

    def run(self, work: Work[GifParams]) -> Outcome:
        params, facts = work.params, work.main.facts
        self.check(params, work.main.kind, facts)
        picture, path = _picture(facts), work.folder / "preview.gif"
        seek = params.time_range.seek(facts.format)
        graph = (
            f"[0:{picture.index}]fps={params.fps},scale=w={params.width}:h=-2,split[shown][counted];"
            "[counted]palettegen[palette];[shown][palette]paletteuse[gif]"
        )
        command = Command(
            sources=[Source(work.main.path, facts.format, seek.source, picture.pixels)],
            targets=[Target(path, (*seek.target, "-map", "[gif]", "-f", "gif"))],
            filters=graph,
            threads=work.threads,
        )
        work.tools.ffmpeg(command, seconds=params.seconds)
        return Outcome(
            [Output(path.name, path, "image", "image/gif", Expected(video=1, width=params.width, frames=1))]
        )


def _picture(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia("This file has no video.")
    return facts.picture
