"""The operation `storyboard`: small pictures at steady intervals on sheets, and a WebVTT file that finds them."""

from pydantic import Field

from ..errors import UnfitMedia
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.probing.verification import Expected
from .base import BULK, Operation, Outcome, Output, Params, Work
from .shared.cues import clock
from .shared.parameters import Interval
from .shared.sprite_sheets import MAX_PICTURES, Pictures, SheetMaker, Spacing
from .shared.still_images import require_picture
from .shared.time_range import TimeRange, likely_duration

NAME = "storyboard.vtt"


class StoryboardParams(Params):
    interval: Interval | None = Field(
        None,
        title="Interval",
        description="Seconds from one picture to the next. If left out: 10, and less in short videos. The picture "
        "is a key frame near that time where there are enough of them.",
    )
    columns: int = Field(10, ge=1, le=20, title="Columns", description="Pictures side by side on a sheet.")
    width: int = Field(160, ge=32, le=480, title="Width", description="Of each picture, in pixels.")


class Storyboard(Operation[StoryboardParams]):
    name = "storyboard"
    version = 2
    title = "Storyboard"
    summary = (
        "Makes sheets of small pictures, and a WebVTT file that says where each is: for previews while scrubbing."
    )
    lane = BULK
    kinds = frozenset({"video"})
    parameters = StoryboardParams

    def check(self, params: StoryboardParams, kind: str, facts: Facts | None) -> None:
        if facts is None:
            return
        length = likely_duration(facts, require_picture(facts))
        TimeRange().check(length)
        if length and params.interval and length / params.interval > MAX_PICTURES:
            raise UnfitMedia(
                f"The storyboard would have more than {MAX_PICTURES:,} pictures. Choose an interval of at least "
                f"{length / MAX_PICTURES:.1f} seconds."
            )

    def run(self, work: Work[StoryboardParams]) -> Outcome:
        params, facts = work.params, work.main.facts
        self.check(params, work.main.kind, facts)
        stream = require_picture(facts)
        length = likely_duration(facts, stream)
        maker = SheetMaker(
            work.tools, work.main.path, facts, work.folder, threads=work.threads, width=params.width,
            columns=params.columns, spacing=Spacing.of(params.interval, length), duration=length,
        )  # fmt: skip
        made = maker.make()
        vtt = work.folder / NAME
        vtt.write_text(_webvtt(made, length or 0.0), encoding="ascii")
        width, height = made.layout.size
        sheet = Expected(video=1, width=width, height=height, frames=1)
        return Outcome(
            [
                Output(vtt.name, vtt, "subtitle", "text/vtt"),
                *(
                    Output(_name(number), path, "image", "image/jpeg", sheet)
                    for number, path in enumerate(made.sheets)
                ),
            ],
            message=made.message,
        )


def _webvtt(made: Pictures, length: float) -> str:
    """A cue for each picture, from its time until that of the next one; the first is shown from 0 on."""
    layout = made.layout
    width, height = layout.picture
    starts = [0, *(round(1000 * time) for time in made.times[1:])]
    end = max(round(1000 * length), starts[-1] + round(1000 * made.interval))
    cues = ["WEBVTT\n"]
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        if stop > start:
            sheet, place = divmod(number, layout.pictures)
            row, column = divmod(place, layout.columns)
            area = f"{column * width},{row * height},{width},{height}"
            cues.append(f"{clock(start / 1000, '.')} --> {clock(stop / 1000, '.')}\n{_name(sheet)}#xywh={area}\n")
    return "\n".join(cues)


def _name(number: int) -> str:
    return f"storyboard-{number + 1:03}.jpg"
