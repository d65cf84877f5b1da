"""What has been found so far, in the words of the job's message."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...detection.detector import Detector, FilterDetector, FrameDetector
from ...detection.sightings import Find


def counted(detectors: Sequence[Detector], found: Mapping[str, int], sightings: int) -> str:
    """ "5 unique plates, 12 texts, 47 detections": for each detector the number that it has found."""
    words = list(_words(detectors, found))
    if any(isinstance(detector, FrameDetector) for detector in detectors):
        words.append(_number(sightings, "detection", "detections"))
    return ", ".join(words)


def _words(detectors: Sequence[Detector], found: Mapping[str, int]) -> Iterator[str]:
    for detector in detectors:
        unique = "unique " if detector.unique else ""
        yield _number(found.get(detector.name, 0), *(f"{unique}{thing}" for thing in detector.things))


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def processed(done: int, total: int | None, tally: str) -> str:
    """ "Processed 500/2000 frames (3 scenes)"."""
    frames = f"{done}/{total}" if total else str(done)
    return f"Processed {frames} frames ({tally})"


def processed_in_parts(detectors: Sequence[Detector], parts: Iterable[tuple[int, str]]) -> str:
    """The same, for all parts together. Each has its number of frames and its message.

    A find that goes on from one part into the next is counted twice until the end.
    """
    frames, messages = zip(*parts, strict=True)
    found = {
        detector.name: sum(_read(rf"(\d+) (?:unique )?(?:{'|'.join(map(re.escape, detector.things))})\b", messages))
        for detector in detectors
    }
    sightings, done = sum(_read(r"(\d+) detections?\b", messages)), sum(_read(r"Processed (\d+)/", messages))
    return processed(done, sum(frames), counted(detectors, found, sightings))


def _read(pattern: str, messages: Iterable[str]) -> Iterator[int]:
    yield from (int(found[1]) for message in messages if (found := re.search(pattern, message)))


def number_of(detector: Detector, finds: Iterable[Find]) -> int:
    """How many there are; of a detector that counts texts, how many different ones."""
    ours = [find for find in finds if find.detector == detector.name]
    if isinstance(detector, FilterDetector) or not detector.unique:
        return len(ours)
    return len({find.text for find in ours})
