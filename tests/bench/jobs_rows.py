"""What many workers do to the database at once, without any work. Called in a server's Django."""

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError

from media_jobs.errors import LeaseLost
from media_jobs.ffmpeg.progress import Report
from media_jobs.models import Job
from media_jobs.queue import leases
from media_jobs.queue.submission import Order, submit
from tests.support.many_jobs import a_file, a_worker, an_owner, pile
from tests.support.parallel_processes import alone, at_once
from uploads.models import MediaFile

OWNERS = 5
BEAT = 1.0  # as slots.BEAT: what is measured must not change with it unseen


@dataclass(frozen=True)
class Claims:
    seconds: float
    claimed: int
    doubled: int
    cpu: float  # seconds of the claiming processes


def claims(members: int, jobs: int, seconds: float) -> dict[str, Any]:
    """So many processes claim for so long, or until nothing is left."""
    alone(lambda: pile(jobs, [a_file(an_owner()) for _ in range(OWNERS)], "thumbnail"))
    found = at_once(members, lambda _: _claim(seconds))
    times = Counter(job for _, _, _, mine in found for job in mine)
    began, ended = min(one[0] for one in found), max(one[1] for one in found)
    return asdict(Claims(ended - began, times.total(), times.total() - len(times), sum(one[2] for one in found)))


def _claim(seconds: float) -> tuple[float, float, float, list[str]]:
    worker, mine = a_worker("quick"), list[str]()
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() < began + seconds and (lease := leases.claim(worker)):
        mine.append(str(lease.job.pk))
    return began, time.monotonic(), time.process_time() - cpu, mine


@dataclass(frozen=True)
class Renewals:
    taken: list[float]
    failures: list[str]


def renewals(members: int, seconds: float) -> dict[str, Any]:
    """So many slots, each a process, renew their leases at every beat and say how far they have come."""
    alone(lambda: pile(members, [a_file(an_owner()) for _ in range(OWNERS)], "transcode"))
    found = at_once(members, lambda index: _renew(index / members * BEAT, seconds))
    return asdict(Renewals([one for mine, _ in found for one in mine], [one for _, wrong in found for one in wrong]))


def _renew(offset: float, seconds: float) -> tuple[list[float], list[str]]:
    lease = leases.claim(a_worker("heavy"))
    assert lease is not None
    taken, wrong = list[float](), list[str]()
    began = time.monotonic() + 2 * BEAT + offset  # when all have claimed; not all in the same moment, as it happens
    for beat in range(int(seconds / BEAT)):
        time.sleep(max(0.0, began + beat * BEAT - time.monotonic()))
        before = time.monotonic()
        try:
            leases.renew(lease, Job.Phase.WORKING, Report(f"Encoded {beat}", beat / seconds, 1.0, seconds - beat))
        except (DatabaseError, LeaseLost) as error:
            wrong.append(f"{type(error).__name__}: {error}")
        taken.append(time.monotonic() - before)
    return taken, wrong


def heap(number: int, operation: str, hours: float = 0) -> dict[str, int]:
    """Queue jobs that nobody will get to; with `hours`, because they are to wait that long."""
    wait = timedelta(hours=hours) if hours else None
    pile(number, [a_file(an_owner()) for _ in range(OWNERS)], operation, wait=wait)
    return {"queued": number}


def take_orders() -> None:
    """Submit what is asked, a line each, and answer with the job and the seconds that it took."""
    for line in sys.stdin:
        order = json.loads(line)
        before = time.monotonic()
        file = MediaFile.objects.select_related("owner", "blob").get(pk=order["file"])
        job, _ = submit(Order.parse(file.owner, order["operation"], order["params"], file=file))
        json.dump([str(job.pk), time.monotonic() - before], sys.stdout)
        sys.stdout.write("\n")
        sys.stdout.flush()
