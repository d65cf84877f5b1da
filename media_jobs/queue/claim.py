"""Claiming, in SQL by hand: slots ask for it hundreds of times a second, and wait for each other while they do.

On PostgreSQL it is one statement: one round trip, and no lock that outlasts it. On SQLite it is three, in the same
words.
"""

from typing import Any
from uuid import UUID

from django.db import connection, models

from uploads.runtime.database_connections import let_go, write

from ..conf import jobs
from ..models import Job, Worker

# The next job of a lane: the best priority there is, of the owner who has waited longest, their oldest. Each part of
# it is one look into an index. (An EXISTS instead of the innermost would be one scan of all that wait, as PostgreSQL
# plans it; and so would be the innermost without its order, which only the index has at hand.)
_NEXT = """
    SELECT id FROM media_jobs_job
    WHERE {claimable} AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) AND owner_id = (
        SELECT owner_id FROM media_jobs_share AS share WHERE share.lane = %(lane)s AND (
            SELECT owner_id FROM media_jobs_job WHERE {claimable} AND owner_id = share.owner_id
            AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) ORDER BY queued_at, id LIMIT 1
        ) IS NOT NULL ORDER BY share.served_at, share.id LIMIT 1
    ) AND NOT EXISTS (SELECT 1 FROM media_jobs_lane WHERE name = %(lane)s AND paused)
    ORDER BY queued_at, id LIMIT 1 {for_update}
"""
_CLAIMABLE = """
    lane = %(lane)s AND status = 'queued' AND leader_id IS NULL AND (not_before IS NULL OR not_before <= {now})
"""
_TAKE = """
    UPDATE media_jobs_job SET
        status = 'running', worker_id = %(worker)s, token = %(token)s, lease_until = {until}, started_at = {now},
        phase = 'fetching', progress = 0, message = 'Starting', outputs = 0, not_before = NULL, command = '', log = ''
    WHERE id = ({next}) AND status = 'queued' AND leader_id IS NULL
"""
# Whoever is being served by another slot just now need not wait for us to say so, too.
_SERVE = """
    UPDATE media_jobs_share SET served_at = {served} WHERE id IN (
        SELECT share.id FROM media_jobs_share AS share
        JOIN taken ON taken.lane = share.lane AND taken.owner_id = share.owner_id {for_serving}
    )
"""
_RECORD = """
    INSERT INTO uploads_transition (subject, subject_id, number, state, detail, created_at)
    SELECT 'job', taken.id, 1 + COALESCE(
        (SELECT MAX(number) FROM uploads_transition WHERE subject = 'job' AND subject_id = taken.id), 0
    ), 'running', 'attempt ' || (taken.attempts + 1), {now} FROM taken
"""
_AT_ONCE = f"WITH taken AS ({_TAKE} RETURNING *), served AS ({_SERVE}), told AS ({_RECORD}) SELECT * FROM taken"  # noqa: S608
_TAKEN = "WITH taken AS (SELECT * FROM media_jobs_job WHERE token = %(token)s)"


def take(worker: Worker, token: UUID) -> Job | None:
    """Make the best job of its lane the worker's, for the time of a lease. None: there is none, or others hold it.

    IntegrityError: it was taken and given back while we looked. Look again.
    """
    if connection.vendor == "postgresql":
        let_go()  # as `write` does: the connection that comes back has been checked
        return next(iter(Job.objects.raw(_words(_AT_ONCE), _values(worker, token))), None)
    with write():
        return Job.objects.get(token=token) if _take_one_by_one(_values(worker, token)) else None


def _take_one_by_one(values: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_words(_TAKE), values)
        if not cursor.rowcount:
            return False
        cursor.execute(_words(f"{_TAKEN} {_SERVE}"), values)
        cursor.execute(_words(f"{_TAKEN} {_RECORD}"), values)
    return True


def _values(worker: Worker, token: UUID) -> dict[str, Any]:
    ids = {"worker": worker.pk, "token": token}
    prepared = {name: models.UUIDField().get_db_prep_value(value, connection) for name, value in ids.items()}
    return {"lane": worker.lane, "lease": jobs().lease, **prepared}


def _words(statement: str) -> str:
    """The statement in the database's own words."""
    if connection.vendor == "postgresql":
        now = served = "statement_timestamp()"
        until = "statement_timestamp() + make_interval(secs => %(lease)s)"
        locks = {"for_update": "FOR UPDATE SKIP LOCKED", "for_serving": "FOR NO KEY UPDATE OF share SKIP LOCKED"}
    else:
        now = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"
        until = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %(lease)s || ' seconds')"
        # Its clock counts milliseconds, and in one of them several may be served: each later than those before.
        last = "(SELECT MAX(served_at) FROM media_jobs_share WHERE lane = %(lane)s)"
        served = f"MAX({now}, strftime('%%Y-%%m-%%d %%H:%%M:%%f', {last}, '+0.001 seconds'))"
        locks = {"for_update": "", "for_serving": ""}
    claimable = _CLAIMABLE.format(now=now)
    words = {"now": now, "until": until, "served": served}
    return statement.format(**words, next=_NEXT.format(claimable=claimable, **locks), **locks)
