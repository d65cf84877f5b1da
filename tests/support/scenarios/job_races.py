"""What the processes of test_job_races do to one another. Tests run each race by Server.call."""

import json
import multiprocessing
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from typing import Any

from django.contrib.auth.models import User
from django.db.models.functions import Now

from media_jobs.errors import AlreadyFinished, BadMedia, Cancelled, LeaseLost, NoRoom, NotFinished, QuotaReached
from media_jobs.ffmpeg.progress import Report
from media_jobs.models import Job, Worker
from media_jobs.queue import artifacts, cancel_and_retry, leases, lost_leases, outcomes, scheduling
from media_jobs.queue.leases import Lease
from media_jobs.queue.submission import Order, submit
from tests.support.api_client import api_client
from tests.support.many_jobs import BUILD, a_file, a_worker, an_owner, pile
from tests.support.parallel_processes import alone, at_once
from uploads.content.intake import Content
from uploads.errors import QuotaExceeded
from uploads.models import MediaFile, Transition, Upload
from uploads.transfers.admission import Announcement, admit
from uploads.transfers.quota import left_of_quota

MEMBERS = 8
LANE = "quick"


def claim(jobs: int, owners: int) -> dict[str, Any]:
    """Claim until there is nothing left."""
    alone(lambda: pile(jobs, [a_file(an_owner()) for _ in range(owners)], "thumbnail"))
    claimed = at_once(MEMBERS, lambda _: [str(lease.job.pk) for lease in _all_there_is(a_worker(LANE))])
    return {"claimed": claimed, "left": alone(scheduling.claimable(LANE).count), "stories": alone(stories)}


def _all_there_is(worker: Worker) -> Iterator[Lease]:
    while scheduling.claimable(LANE).exists():
        if lease := leases.claim(worker):
            yield lease


def submit_the_same(rounds: int, *, worked: bool) -> dict[str, Any]:
    """Submit the same jobs in the same order; where `worked`, beside a worker that ends each as soon as it can."""
    file = alone(lambda: a_file(an_owner()).pk)
    each = at_once(
        MEMBERS + worked, lambda index: _work(MEMBERS * rounds) if index == MEMBERS else _submit_all(file, rounds)
    )
    return {"each": each[:MEMBERS], "stories": alone(stories)}


def _submit_all(file: Any, rounds: int) -> list[tuple[str, str | None]]:
    """For each job its id, and whom it followed at first."""
    found = MediaFile.objects.select_related("owner", "blob").get(pk=file)
    made = [submit(Order.parse(found.owner, "thumbnail", {"width": 20 + n}, file=found))[0] for n in range(rounds)]
    return [(str(job.pk), str(job.leader_id) if job.leader_id else None) for job in made]


def _work(jobs: int) -> list[tuple[str, str | None]]:
    worker, until = a_worker(LANE), time.monotonic() + 60
    while Job.objects.filter(status=Job.Status.SUCCEEDED).count() < jobs and time.monotonic() < until:
        if lease := leases.claim(worker):
            _succeed(lease)
    return []


def _succeed(lease: Lease) -> None:
    try:
        outcomes.finish(lease, [], facts=None, message="", ran={"build": BUILD})
    except Cancelled:
        outcomes.end_cancelled(lease)


def pass_quota(size: int) -> dict[str, Any]:
    """Half of them end a job each that made a file of `size`, the others begin to upload as much: of one owner."""
    file = alone(lambda: a_file(an_owner()).pk)
    alone(lambda: _submit_all(file, MEMBERS // 2))
    outcomes = at_once(MEMBERS, lambda index: _end_with(size) if index % 2 else _begin_upload(file, size))
    return {"outcomes": outcomes, "left": alone(lambda: left_of_quota(_owner_of(file).pk)), "stories": alone(stories)}


def _end_with(size: int) -> str:
    lease = next(_all_there_is(a_worker(LANE)))
    kept = artifacts.StoredOutput(
        "a.jpg", lease.key(0), Content(uuid.uuid4().hex * 2, size, "image", "image/jpeg"), {}
    )
    try:
        outcomes.finish(lease, [kept], facts=None, message="", ran={"build": BUILD})
    except QuotaReached as failure:
        outcomes.end_failed(lease, failure, {})
        return "refused"
    return "taken"


def _begin_upload(file: Any, size: int) -> str:
    announcement = Announcement(
        owner=_owner_of(file), name="b.mp4", protocol=Upload.Protocol.PUT, size=size, length=size, route="race"
    )
    try:
        admit(announcement)
    except QuotaExceeded:
        return "refused"
    return "taken"


def _owner_of(file: Any) -> User:
    return MediaFile.objects.select_related("owner").get(pk=file).owner


def meddle(seed: int, seconds: float) -> dict[str, Any]:
    """Do whatever may be done to a few jobs, some of them the same, at random."""
    files = alone(lambda: [a_file(an_owner()).pk for _ in range(3)])
    alone(lambda: [_submit_all(file, 2) for file in files for _ in range(2)])
    done = at_once(MEMBERS, lambda index: _meddle(random.Random(seed + index), seconds))
    return {"done": sum(map(Counter, done), Counter()), "stories": alone(stories)}


def _meddle(chance: random.Random, seconds: float) -> dict[str, int]:
    worker, held = a_worker(LANE), list[Lease]()
    jobs = list(Job.objects.order_by("pk"))
    done: Counter[str] = Counter()

    def take() -> None:
        if lease := leases.claim(worker):
            held.append(lease)

    def end(how: Callable[[Lease], object]) -> None:
        if held:
            how(held.pop(chance.randrange(len(held))))

    def lose() -> None:
        one = Job.objects.filter(pk=chance.choice(jobs).pk, status="running")
        one.update(lease_until=Now() - timedelta(seconds=1))

    deeds: dict[str, Callable[[], object]] = {
        "claim": take,
        "cancel": lambda: cancel_and_retry.cancel(chance.choice(jobs)),
        "retry": lambda: cancel_and_retry.retry(chance.choice(jobs)),
        "reap": lambda: lost_leases.reap(lambda: None),
        "lose": lose,
        "renew": lambda: held and leases.renew(held[-1], Job.Phase.WORKING, Report("Working", chance.random())),
        "succeed": lambda: end(_succeed) if chance.random() < 0.1 else None,
        "fail for now": lambda: end(lambda lease: outcomes.end_failed(lease, NoRoom("The disk is full."), {})),
        "fail": lambda: end(lambda lease: outcomes.end_failed(lease, BadMedia("It is cut off."), {})),
        "give back": lambda: end(outcomes.end_released),
        "end cancelled": lambda: end(outcomes.end_cancelled),
        "hurry": lambda: Job.objects.filter(pk=chance.choice(jobs).pk, status="queued").update(not_before=None),
    }
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = chance.choice(list(deeds))
        with suppress(AlreadyFinished, NotFinished, LeaseLost):
            deeds[name]()
            done[name] += 1
    return done


def delete_what_is_used(rounds: int) -> dict[str, Any]:
    """By the API: delete a file while others rename it, submit jobs on it, and retry one that was cancelled."""
    owner, jobs = alone(lambda: _cancelled_jobs(rounds))
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("DELETE", "files/{file}/", {}),
        ("PATCH", "files/{file}/", {"name": "new.mp4"}),
        ("POST", "files/{file}/link/", {}),
        ("POST", "jobs/{job}/retry/", {}),
        *(
            ("POST", "jobs/", {"operation": "thumbnail", "params": {"width": width}, "file": "{file}"})
            for width in (50, 60)
        ),
    ]
    ready = multiprocessing.get_context("fork").Barrier(len(requests))
    each = at_once(len(requests), lambda index: _ask_of_each(owner, jobs, ready, *requests[index]))
    answers: dict[str, Counter[str]] = {}
    for (method, path, _), mine in zip(requests, each, strict=True):
        answers.setdefault(f"{method} {path}", Counter()).update(mine)
    return {"answers": answers, "stories": alone(stories)}


def _cancelled_jobs(number: int) -> tuple[User, list[tuple[str, str]]]:
    owner = an_owner()
    jobs = [submit(Order.parse(owner, "thumbnail", file=a_file(owner)))[0] for _ in range(number)]
    return owner, [(str(job.pk), str(job.file_id)) for job in map(cancel_and_retry.cancel, jobs)]


def _ask_of_each(
    owner: User, jobs: list[tuple[str, str]], ready: Barrier, method: str, path: str, data: dict[str, Any]
) -> list[str]:
    """The status and the code of each answer."""
    client, answers = api_client(owner), []
    for job, file in jobs:
        body = {key: file if value == "{file}" else value for key, value in data.items()}
        ready.wait(60)
        answer = client.generic(
            method, f"/api/v1/{path.format(file=file, job=job)}", json.dumps(body), "application/json",
            HTTP_HOST="localhost",
        )  # fmt: skip
        answers.append(f"{answer.status_code} {json.loads(answer.content or b'{}').get('code', '')}".strip())
    return answers


def stories() -> dict[str, dict[str, Any]]:
    """Of each job: where it stands, and its numbered past."""
    past: dict[Any, list[tuple[int, str]]] = {}
    for job, number, state in (
        Transition.objects.filter(subject="job").order_by("number").values_list("subject_id", "number", "state")
    ):
        past.setdefault(job, []).append((number, state))
    return {
        str(pk): {"status": status, "key": key, "leader": str(leader) if leader else None, "past": past[pk]}
        for pk, status, key, leader in Job.objects.values_list("pk", "status", "cache_key", "leader_id")
    }
