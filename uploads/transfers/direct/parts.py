"""The parts of a direct upload: which of them the store has, and whether they are the ones that their client means.

The store is asked each time. A client is told which parts are missing or wrong, and sends them again.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby

from ...errors import Gone, PartsMismatch
from ...models import DirectUpload
from ...sinks.base import NoSuchKey
from ...sinks.direct import Part
from ...storage.stores import direct_sink_named
from ..reception import storage_refusals

_MOST_NAMED = 1000  # parts in one refusal
_MOST_IN_WORDS = 10
_UNKNOWN = datetime.fromtimestamp(0, UTC)


def arrived(direct: DirectUpload) -> list[Part]:
    """The parts that count, by number. Refuses an upload whose parts the store has deleted."""
    return [found for _, generations in _by_number(direct) if (found := _latest(direct, generations)) is not None]


def matching(direct: DirectUpload, named: Mapping[int, str]) -> dict[int, str]:
    """The ETag of each part, if all are there, each of its size, and of the ETag that the client names, if it does.

    Raises PartsMismatch, which lists the others.
    """
    found: dict[int, str] = {}
    for number, generations in _by_number(direct):
        part = _named(direct, generations, named[number]) if number in named else _latest(direct, generations)
        if part is not None:
            found[number] = part.etag
    wrong = [number for number in range(1, direct.parts + 1) if number not in found]
    if wrong:
        raise mismatch(direct, wrong)
    return found


def is_assembled(direct: DirectUpload) -> bool:
    """Whether the parts are one object already: an earlier request did that, and could not say so."""
    upload = direct.upload
    return direct_sink_named(upload.sink).size(upload.key) == upload.declared_size


def mismatch(direct: DirectUpload, wrong: Collection[int]) -> PartsMismatch:
    some = ", ".join(map(str, list(wrong)[:_MOST_IN_WORDS]))
    more = ", …" if len(wrong) > _MOST_IN_WORDS else ""
    return PartsMismatch(
        f"{len(wrong)} of {direct.parts} parts are missing, or do not have the size or ETag that they should have: "
        f"{some}{more}. Send them again.",
        parts=list(wrong)[:_MOST_NAMED],
    )


def _by_number(direct: DirectUpload) -> Iterator[tuple[int, list[Part]]]:
    """All generations of each part: some stores also list those that were replaced."""
    upload = direct.upload
    with storage_refusals():
        place = direct_sink_named(upload.sink)
        try:
            found = list(place.direct.parts(upload.key, direct.write_id))
        except NoSuchKey as error:
            if not is_assembled(direct):
                raise Gone("The store no longer has the parts of this upload. Start it again.") from error
            found = [Part(number, direct.size_of(number), "", _UNKNOWN) for number in range(1, direct.parts + 1)]
    ordered = sorted(found, key=lambda part: (part.number, part.modified))
    for number, generations in groupby(ordered, key=lambda part: part.number):
        yield number, list(generations)


def _latest(direct: DirectUpload, generations: list[Part]) -> Part | None:
    """The part that was sent last. None if it has another size, or if it is not known which one was the last."""
    last = generations[-1]
    is_clear = all(part.etag == last.etag for part in generations if part.modified == last.modified)
    return last if is_clear and _is_sized(direct, last) else None


def _named(direct: DirectUpload, generations: list[Part], etag: str) -> Part | None:
    return next((part for part in generations if part.etag == etag and _is_sized(direct, part)), None)


def _is_sized(direct: DirectUpload, part: Part) -> bool:
    return 1 <= part.number <= direct.parts and part.size == direct.size_of(part.number)
