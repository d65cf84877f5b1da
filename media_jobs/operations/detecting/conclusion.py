"""Makes the result of what was recorded in the spans of a file, which follow each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

from ...detection.sightings import Find
from ...detection.tracking import Tracker
from ...errors import BadMedia
from ..base import Outcome, Work
from .crop_sheets import make_sheets
from .crops import Crop, CropPlace, PicturedSighting, merit_of
from .find_files import Finds
from .parameters import DetectParams
from .record import MOST_CROPS, Record
from .tally import counted, number_of, processed

_SHARE = 0.99  # of the progress


def conclude(work: Work[DetectParams], records: Sequence[Record], frames: int | None) -> Outcome:
    """`frames`: how many the source has; None if it has no picture, or that is not known."""
    params = work.params
    work.tools.report("Putting the finds together", _SHARE)
    summaries = [record.summary for record in records]
    end = max(summary.end for summary in summaries)
    seen, sightings = _tracked(params, records)
    problem = next((summary.message for summary in summaries if summary.message), "")
    if problem and not end:
        raise BadMedia(f"Nothing can be read from this file. {problem}")
    # Silence lasts until the picture has ended, too.
    heard_until = end if problem else max(end, work.main.facts.duration or 0.0)
    found = [*seen, *_events(params, records, {"video": end, "audio": heard_until})]
    found.sort(key=lambda find: (find.start, params.detectors.index(find.detector), find.end))
    finds = dict(enumerate(found, 1))
    crops, sheets = make_sheets(work, dict(_crops(finds, records)), _SHARE)
    size = max((summary.width, summary.height) for summary in summaries)
    looked_at = sum(summary.looked_at for summary in summaries)
    made = Finds(params.chosen, end, looked_at, size, finds, crops)
    numbers = {detector.name: number_of(detector, found) for detector in params.chosen}
    tally = counted(params.chosen, numbers, sightings)
    message = processed(frames, frames, tally) if frames else f"Processed the file ({tally})"
    return Outcome([*made.write(work.folder), *sheets], message=f"{message}. {problem}" if problem else message)


def _tracked(params: DetectParams, records: Sequence[Record]) -> tuple[list[Find], int]:
    """The finds of FrameDetectors, and the number of all sightings. A track goes on over the border of spans."""
    trackers = {
        detector.name: Tracker(detector.name, detector.least_sightings, detector.reach, merit_of)
        for detector in params.lookers
    }
    finds, sightings = list[Find](), 0
    for record in records:
        for time, seen in record.frames():
            sightings += sum(map(len, seen.values()))
            for name, tracker in trackers.items():
                finds += tracker.add(time, seen.get(name, []))
    for tracker in trackers.values():
        finds += tracker.finish()
    return finds, sightings


def _events(params: DetectParams, records: Sequence[Record], ends: Mapping[str, float]) -> Iterator[Find]:
    """The finds of filters, of the marks of all spans together: an event goes on over their borders, too."""
    for detector in params.filters:
        marks = chain.from_iterable(record.marks(detector) for record in records)
        yield from detector.finds(marks, ends[detector.media])


def _crops(finds: Mapping[int, Find], records: Sequence[Record]) -> Iterator[tuple[int, Callable[[], Crop]]]:
    count = 0
    for number, find in finds.items():
        best = find.best
        if isinstance(best, PicturedSighting) and isinstance(best.crop, CropPlace) and count < MOST_CROPS:
            count += 1
            yield number, partial(records[best.crop.span].crop, best.crop)
