"""The hourly sweep: repair the few things that crashes leave behind, in a store with our marker only."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import count

import structlog

from ..models import Blob, SinkMark
from ..sinks.base import Sink
from ..storage.marker import is_ours
from .fsck import GRACE, Finding, find_in_rows, find_in_sink, mend
from .leftovers import delete_leftovers

log = structlog.get_logger(__name__)
# A crash leaves a few keys behind. More than this number, and more than this share of all keys, point to a lost or
# older database, or to a missing disk. Then an administrator decides.
_FEW, _SHARE = 20, 0.05


def sweep(place: Sink, grace: timedelta = GRACE) -> int:
    """Withdraw stale claims, mark lost bytes, quarantine unknown bytes. If there are too many, do nothing."""
    if not is_ours(place):
        log.error("sweep_refused", reason="The storage marker is missing or belongs to another installation.")
        return 0
    walked = count()
    found = [*find_in_rows(place, grace=grace), *find_in_sink(place, grace=grace, seen=lambda _: next(walked))]
    warning = too_many(place, found, max(next(walked), Blob.objects.filter(sink=place.name).count()))
    SinkMark.objects.filter(sink=place.name).exclude(warning=warning).update(warning=warning)
    if warning:
        log.error("sweep_refused", reason=warning)
        return 0
    return sum(_mend(place, finding) for finding in found) + delete_leftovers(place, grace)


def _mend(place: Sink, finding: Finding) -> bool:
    mended = mend(place, finding)
    if mended:
        log.warning("swept", defect=finding.defect, key=finding.key, size=finding.size)
    return mended


def too_many(place: Sink, findings: Sequence[Finding], keys: int) -> str:
    """Why these findings need an administrator's decision; "" if they can be repaired."""
    new = Counter(str(finding.defect) for finding in findings if not finding.is_noted)
    if new.total() <= max(_FEW, _SHARE * keys):
        return ""
    what = ", ".join(f"{defect}: {number}" for defect, number in sorted(new.items()))
    return (
        f"Of {keys} keys in the store “{place.name}”, {new.total()} do not match the database ({what}). Is this the "
        "right database, and the right disk or bucket? Nothing was changed. `manage.py fsck` lists them, `manage.py "
        "fsck --repair --yes` repairs them. See README, “Backup and upgrade”."
    )


def warning_of(place: Sink) -> str:
    """Why the last sweep did nothing; "" if it ran."""
    return SinkMark.objects.filter(sink=place.name).values_list("warning", flat=True).first() or ""
