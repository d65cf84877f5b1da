"""A bad day of several hosts: every fault once while uploads and jobs go on, and what must hold in the end."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.drill.cluster import Cluster
from tests.drill.felt import Felt, Span, as_table
from tests.drill.host_clients import SIZE, Client, Probe, Sent
from tests.drill.hosts import Hosts, hosts, until_up
from tests.drill.in_server import delete_bytes_hours_later
from tests.support.server import ROOT, Server, Template, query
from tests.support.small_disks import MIB, fill, filler

KINDS = ("form", "put", "tus", "direct")
UPLOADS, AT_ONCE, FROZEN = 30, 8, 20.0
# Fits into half of the small disk, which is what inputs may take, but not into half of that half.
LARGE = 40 * MIB
KEPT_LOGS = ROOT / "var/hosts"
Say = Callable[[str], object]
Work = list["Future[Sent]"]
Jobs = tuple[tuple[str, dict[str, object]], ...]
_JOBS: Jobs = ("thumbnail", {"width": 160}), ("transcode", {"height": 240, "quality": "high"})


def bad_day(template: Template, cluster: Cluster, folder: Path, film: bytes, uploads: int, say: Say) -> int:
    """Returns the number of broken promises."""
    with hosts(template, cluster, folder) as found:
        until_up(found, lambda: _workers(found.web[0]) == 3)
        client, probe, work = Client(found.web, film), Probe(found.web), Work()
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                felt = _do_faults(found, probe, _Uploads(client, pool, work, uploads), say)
                until_up(found, lambda: all(future.done() for future in work), 600)
        except AssertionError:
            _keep_logs(found, say)
            raise
        finally:
            probe.stop()
        sent = [future.result() for future in work if future.exception() is None]
        broken = [f"a client gave up: {future.exception()!r}" for future in work if future.exception()]
        until_up(found, lambda: _unfinished(found.web[0]) == 0, 600)
        say(f"\n{as_table(felt, sent, _times_of_jobs(found.web[0]))}\n")
        broken += [f"{number} times {answer}" for answer, number in client.refusals.items() if answer[:3] == "500"]
        broken += [*_wrong_jobs(client, sent), *_wrong_files(found, sent), *_wrong_bytes(found, sent)]
        broken += _left_over(found)
        if broken:
            _keep_logs(found, say)
    for answer, number in sorted(client.refusals.items()):
        say(f"{number:4} × {answer}")
    for words in broken:
        say(f"BROKEN: {words}")
    say(f"{len(sent)} uploads and {sum(len(each.jobs) for each in sent)} jobs")
    return len(broken)


class _Uploads:
    """Begins the uploads little by little, so that each fault meets some that go on."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor, work: Work, number: int) -> None:
        self.client, self.work = client, work
        self._pool, self._number = pool, number

    def begin(self, share: float) -> None:
        """Until this share of them is begun."""
        for number in range(len(self.work), round(self._number * share)):
            self.add(KINDS[number % len(KINDS)], _JOBS)

    def add(self, kind: str, jobs: Jobs, size: int = SIZE) -> "Future[Sent]":
        future = self._pool.submit(_one, self.client, kind, jobs, size)
        self.work.append(future)
        return future

    @property
    def done(self) -> int:
        return sum(future.done() for future in self.work)


def _one(client: Client, kind: str, jobs: Jobs, size: int) -> Sent:
    sent = client.send(kind, size)
    sent.jobs = [client.submit(sent.file, operation, dict(params)) for operation, params in jobs]
    return sent


def _do_faults(found: Hosts, probe: Probe, uploads: _Uploads, say: Say) -> list[Felt]:
    faults: list[tuple[str, Callable[[], object]]] = [
        *((f"kill -9 of {host.name}", host.kill) for host in found.all),
        ("PostgreSQL restarted", lambda: _restart(found)),
        ("Redis flushed", found.flush_redis),
        (f"the store frozen for {FROZEN:.0f} s", lambda: _freeze(found)),
        ("the store killed and started again", lambda: _restart_store(found)),
        ("the scratch of worker quick full", lambda: _fill_scratch(found, uploads, say)),
    ]
    felt = []
    for number, (name, fault) in enumerate(faults, 1):
        uploads.begin(number / len(faults))
        time.sleep(3)
        probe.take()
        began = time.time()
        fault()
        back = until_up(found, lambda: all(_answers(server) for server in found.web))
        time.sleep(1)
        first, second = probe.take()
        felt.append(Felt(name, began, time.time(), first, second))
        say(f"{name:36} all back after {back:5.1f} s; {uploads.done} of {len(uploads.work)} uploads done")
    return felt


def _restart(found: Hosts) -> None:
    found.cluster.stop("immediate")
    time.sleep(3)
    found.cluster.start()


def _restart_store(found: Hosts) -> None:
    found.store.kill()
    found.store.start()


def _freeze(found: Hosts) -> None:
    found.store.freeze()
    time.sleep(FROZEN)
    found.store.go_on()


def _fill_scratch(found: Hosts, uploads: _Uploads, say: Say) -> None:
    """A job whose input does not fit waits with the reason, until there is space again."""
    disk, client = found["worker quick"].scratch, uploads.client
    assert disk is not None
    fill(disk)
    [job] = uploads.add("put", _JOBS[:1], LARGE).result().jobs

    def waits_for() -> str:
        fill(disk)  # anew: the worker removes fetched inputs that nobody uses
        return str(client.job(job)["waiting_for"] or "")

    try:
        until_up(found, lambda: "Scratch space" in waits_for(), 60)
        time.sleep(10)
        say(f"{'':36} a job waits for: {waits_for()}")
    finally:
        filler(disk).unlink()
    done = until_up(found, lambda: client.job(job)["finished_at"], 400, lambda: client.job(job))
    say(f"{'':36} it was done {done:.1f} s after there was space again")


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/api/v1/files/", timeout=10).status == 200
    except OSError:
        return False


def _one_number(server: Server, statement: str) -> int:
    """-1: the database is away."""
    try:
        return int(query(server, statement)[0][0])
    except psycopg.Error:
        return -1


def _workers(server: Server) -> int:
    return _one_number(server, "SELECT count(*) FROM media_jobs_worker")


def _unfinished(server: Server) -> int:
    return _one_number(server, "SELECT count(*) FROM media_jobs_job WHERE finished_at IS NULL")


def _times_of_jobs(server: Server) -> list[Span]:
    """When each job was ordered, when it ended, and what it was."""
    ended = "extract(epoch FROM created_at)::float, extract(epoch FROM finished_at)::float, operation"
    return query(server, f"SELECT {ended} FROM media_jobs_job")  # noqa: S608  # our own


def _wrong_jobs(client: Client, sent: list[Sent]) -> list[str]:
    """Every job succeeded, once, with one artifact."""
    wrong = []
    for job in [job for each in sent for job in each.jobs]:
        found = client.job(job)
        past = client.web[0].get(f"/api/v1/jobs/{job}/events/", user="alice").json()
        times = [event["state"] for event in past].count("succeeded")
        moments = [event["created_at"] for event in past]
        if moments != sorted(moments):
            wrong.append(f"the timeline of job {job} goes back in time: {past}")
        if (found["status"], times, len(found["artifacts"])) != ("succeeded", 1, 1):
            wrong.append(f"job {job}: {found['status']}, {times} times, {found['artifacts']}, {found['error']}")
    return wrong


def _wrong_files(found: Hosts, sent: list[Sent]) -> list[str]:
    """Each upload made one file, however often its client tried."""
    made = "SELECT count(*) FROM uploads_mediafile WHERE id NOT IN (SELECT file_id FROM media_jobs_artifact)"
    number = _one_number(found.web[0], made)
    return [] if number == len(sent) else [f"{len(sent)} uploads made {number} files"]


def _wrong_bytes(found: Hosts, sent: list[Sent]) -> list[str]:
    """Every file has the bytes that were sent, as another client reads them from the bucket."""
    rows = query(
        found.web[0],
        "SELECT CAST(f.id AS varchar(36)), b.key FROM uploads_mediafile f JOIN uploads_blob b ON b.id = f.blob_id",
    )
    keys, client, wrong = dict(rows), found.store.client(), []
    for each in sent:
        body = client.get_object(Bucket=found.bucket, Key=f"media/content/{keys[each.file]}")["Body"].read()
        if hashlib.sha256(body).hexdigest() != each.sha256:
            wrong.append(f"the {each.kind} upload {each.file} has other bytes")
    return wrong


def _left_over(found: Hosts) -> list[str]:
    """After the chores of some hours: no multipart upload, no partial object, no scratch, and fsck finds nothing."""
    server, client = found.web[0], found.store.client()
    for host in found.all:
        host.kill()  # leases of writers end, too
    time.sleep(15)
    for host in found.all:
        host.server.manage("housekeeping", "--now")
    server.call(delete_bytes_hours_later)
    wrong = []
    if uploads := client.list_multipart_uploads(Bucket=found.bucket).get("Uploads"):
        wrong.append(f"{len(uploads)} multipart uploads are left")
    if partial := client.list_objects_v2(Bucket=found.bucket, Prefix="media/partial/").get("Contents"):
        wrong.append(f"{len(partial)} partial objects are left")
    if left := [path for host in found.all for path in host.scratch_entries() if not _is_fetched(path)]:
        wrong.append(f"scratch is left: {left}")
    checked: subprocess.CompletedProcess[str] = server.manage("fsck", "--deep", "--grace", "0", check=False)
    if checked.returncode:
        wrong.append(f"fsck --deep: {checked.stdout[-500:]}")
    return wrong


def _is_fetched(path: Path) -> bool:
    """Inputs are kept for other jobs, each under its hash, beside the lock of their folder."""
    return path.parent.parent.name == "inputs" and (path.name == "lock" or len(path.name) == 64)


def _keep_logs(found: Hosts, say: Say) -> None:
    KEPT_LOGS.mkdir(parents=True, exist_ok=True)
    for host in found.all:
        shutil.copy(host.server.home / "server.log", KEPT_LOGS / f"{host.name}.log")
    say(f"What the processes logged is in {KEPT_LOGS.relative_to(ROOT)}.")
