"""Which job a worker gets next.

The next job of a lane has the highest priority; among equal ones, it is the oldest of the owner who has had the least
of the lane's time: owners of long jobs and of short ones get equal shares. Paused lanes get none, nor does any lane
while the disk is full.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connection
from django.db.models import F, Max, Q, QuerySet, Value
from django.db.models.functions import Greatest, Now

from uploads.errors import InsufficientStorage, StorageUnavailable
from uploads.storage.stores import sink
from uploads.transfers.disk_space import check_floor, check_free

from ..conf import jobs
from ..models import OPENS_AFTER, Job, Lane, Share, Worker
from . import endpoint_breaker

log = structlog.get_logger(__name__)
# _NEXT selects the next job of a lane: the best priority, of the owner who has used least, their oldest.
# Each part is one index lookup. (PostgreSQL would plan an EXISTS instead of the innermost SELECT, or that SELECT
# without its ORDER BY, as a scan of all queued jobs.)
_NEXT = """
    SELECT id FROM media_jobs_job
    WHERE {claimable} AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) AND owner_id = (
        SELECT owner_id FROM media_jobs_share AS share WHERE share.lane = %(lane)s AND (
            SELECT owner_id FROM media_jobs_job WHERE {claimable} AND owner_id = share.owner_id
            AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) ORDER BY queued_at, id LIMIT 1
        ) IS NOT NULL ORDER BY share.used, share.served_at, share.id LIMIT 1
    ) AND NOT EXISTS (SELECT 1 FROM media_jobs_lane WHERE name = %(lane)s AND paused)
    ORDER BY queued_at, id LIMIT 1 {for_update}
"""
_CLAIMABLE = """
    lane = %(lane)s AND status = 'queued' AND leader_id IS NULL AND pending_children = 0
    AND (not_before IS NULL OR not_before <= {now}) {fits} AND (endpoint_id IS NULL OR endpoint_id NOT IN ({closed}))
"""
# Model servers that take no further job: see endpoint_breaker.closed. It is read only where a job has one.
_CLOSED = """
    SELECT endpoint.id FROM media_jobs_modelendpoint AS endpoint
    WHERE NOT endpoint.active OR endpoint.next_try > {now} OR (
        SELECT COUNT(*) FROM media_jobs_job AS other
        WHERE other.endpoint_id = endpoint.id AND other.status = 'running'
    ) >= CASE WHEN endpoint.failures >= {opens_after} THEN 1 ELSE endpoint.concurrency END
"""
# For workers that fetch inputs. Without this, each would take the largest job, and give it back.
_FITS = "AND (input_bytes IS NULL OR input_bytes <= %(room)s {is_here})"
_IS_HERE = """
    OR file_id IN (SELECT file.id FROM uploads_mediafile AS file JOIN uploads_blob AS blob ON blob.id = file.blob_id
    WHERE blob.sha256 IN ({hashes}))
"""
# A claim is charged at once, as if it took this long: several slots must not take the same owner's jobs one after
# another. When the work has ended, `charged` corrects that.
_SECONDS = 30.0
# A share that another worker has locked is skipped: that worker is writing it for the same owner.
SERVE_OWNER = """
    UPDATE media_jobs_share SET served_at = {served}, level = {level}, used = {level} + {seconds} WHERE id IN (
        SELECT share.id FROM media_jobs_share AS share
        JOIN claimed ON claimed.lane = share.lane AND claimed.owner_id = share.owner_id {for_serving}
    )
"""
_LEVEL = "{greatest}(used, (SELECT MAX(level) FROM media_jobs_share WHERE lane = %(lane)s))"


@dataclass(frozen=True, slots=True)
class Room:
    """The space of a host for inputs that must be fetched: the largest that fits, and larger ones that are here."""

    size: int
    here: Sequence[str] = ()  # their SHA-256

    @property
    def parameters(self) -> dict[str, object]:
        return {"room": self.size} | {f"here{number}": sha256 for number, sha256 in enumerate(self.here)}

    @property
    def sql(self) -> str:
        hashes = ", ".join(f"%(here{number})s" for number in range(len(self.here)))
        return _FITS.format(is_here=_IS_HERE.format(hashes=hashes) if hashes else "")


def claimable(lane: str, room: Room | None = None) -> QuerySet[Job]:
    """The jobs that a worker could claim. `room`: its space for inputs, if it has to fetch them."""
    ready = Q(not_before=None) | Q(not_before__lte=Now())
    jobs = Job.with_children.filter(lane=lane, status=Job.Status.QUEUED, leader=None, pending_children=0)
    found = jobs.filter(ready).filter(Q(endpoint=None) | ~Q(endpoint__in=endpoint_breaker.closed()))
    if room is None:
        return found
    fits = Q(input_bytes=None) | Q(input_bytes__lte=room.size)
    return found.filter(fits | Q(file__blob__sha256__in=room.here) if room.here else fits)


def rooms(workers: QuerySet[Worker]) -> dict[str, Room | None]:
    """For each lane of these workers the room of that which has the most. None: one of them need not fetch inputs."""
    found: dict[str, Room | None] = {}
    for lane, size in workers.values_list("lane", "room"):
        room = found.get(lane, Room(0))
        found[lane] = None if size is None or room is None else Room(max(size, room.size))
    return found


def serve(lane: str, owner_id: int) -> None:
    """As SERVE_OWNER, for what is no job: the check of an upload."""
    Share.ensure(lane, owner_id)
    highest = Share.objects.filter(lane=lane).aggregate(found=Max("level"))["found"]
    level = Greatest(F("used"), Value(highest))
    Share.objects.filter(lane=lane, owner_id=owner_id).update(served_at=Now(), level=level, used=level + _SECONDS)


@contextmanager
def charged(lane: str, owner_id: int) -> Iterator[None]:
    """Charge the seconds that this work takes, however it ends, in place of what the claim has charged."""
    began = time.monotonic()
    try:
        yield
    finally:
        try:
            charge(lane, owner_id, time.monotonic() - began)
        except DatabaseFailure:
            log.warning("work_not_charged", lane=lane, exc_info=True)
            close_old_connections()


def charge(lane: str, owner_id: int, seconds: float) -> None:
    Share.objects.filter(lane=lane, owner_id=owner_id).update(used=F("used") + (seconds - _SECONDS))


def is_paused(lane: str) -> bool:
    return Lane.objects.filter(name=lane, paused=True).exists()


def lacking() -> str:
    """A noun phrase for what no job can start without, if it is missing; else empty.

    It is checked before a claim, so that waiting for it costs no attempt.
    """
    try:
        check_free(sink(), 1)
        check_floor(sink(), jobs().work_root)
    except InsufficientStorage:
        return "Free space on the server's disk."
    except StorageUnavailable:
        return "The server's disk, which is not available."
    return ""


def sql(statement: str, room: Room | None = None) -> str:
    """Fill in the condition for `room`, and the expressions that differ between PostgreSQL and SQLite."""
    if connection.vendor == "postgresql":
        now = served = "statement_timestamp()"
        greatest = "GREATEST"
        until = "statement_timestamp() + make_interval(secs => %(lease)s)"
        locks = {"for_update": "FOR UPDATE SKIP LOCKED", "for_serving": "FOR NO KEY UPDATE OF share SKIP LOCKED"}
    else:
        now = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"
        until = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %(lease)s || ' seconds')"
        # SQLite's clock counts milliseconds, and several owners may be served in one: each gets a later time.
        last = "(SELECT MAX(served_at) FROM media_jobs_share WHERE lane = %(lane)s)"
        served = f"MAX({now}, strftime('%%Y-%%m-%%d %%H:%%M:%%f', {last}, '+0.001 seconds'))"
        greatest = "MAX"
        locks = {"for_update": "", "for_serving": ""}
    closed = _CLOSED.format(now=now, opens_after=OPENS_AFTER)
    claimable = _CLAIMABLE.format(now=now, fits=room.sql if room else "", closed=closed)
    expressions = {
        "now": now,
        "until": until,
        "served": served,
        "level": _LEVEL.format(greatest=greatest),
        "seconds": _SECONDS,
    }
    return statement.format(**expressions, next=_NEXT.format(claimable=claimable, **locks), **locks)
