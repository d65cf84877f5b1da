"""How the stores are, for pages that must not wait for a store that does not answer."""

from functools import cache

from ..runtime.timely_answers import TimelyAnswer
from ..sinks.base import Sink, SinkError
from ..sinks.patience import patience_of
from ..storage.marker import mark_of, trouble

_WAIT = 5.0  # seconds
_QUARANTINE_LASTS = 60.0  # pages that renew themselves ask each few seconds, and a store is paid for each request
_SILENT = "The store does not answer."

Totals = tuple[int, int]  # objects, and their bytes


def trouble_of(place: Sink) -> str:
    """Why the store cannot be used; "" if it can."""
    mark = mark_of(place)  # here: the thread that asks has no connection to the database
    if not place.is_remote:
        return trouble(place, mark)
    found = _troubles(place).get(lambda: trouble(place, mark), _WAIT)
    return _SILENT if found is None else found


def quarantine_of(place: Sink) -> Totals | None:
    """What is in quarantine. None if the store does not say."""
    try:
        return _quarantines(place).get(lambda: _count(place), _WAIT) if place.is_remote else _count(place)
    except SinkError:
        return None


def _count(place: Sink) -> Totals:
    with patience_of(0):
        sizes = [found.size for found in place.quarantine.entries()]
    return len(sizes), sum(sizes)


@cache
def _troubles(_: Sink) -> TimelyAnswer[str]:
    return TimelyAnswer()


@cache
def _quarantines(_: Sink) -> TimelyAnswer[Totals]:
    return TimelyAnswer(lasts=_QUARANTINE_LASTS)
