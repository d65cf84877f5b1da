"""A bad day of several hosts: every fault once while uploads and jobs go on, and what must hold in the end."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.drill.cluster import Cluster
from tests.drill.host_clients import Client, Probe, Sent
from tests.drill.hosts import Hosts, hosts, until_up
from tests.support.server import Server, Template, query

KINDS = ("form", "put", "tus", "direct")
UPLOADS, AT_ONCE, FROZEN = 30, 6, 20.0
_JOBS: tuple[tuple[str, dict[str, object]], ...] = (("thumbnail", {"width": 160}), ("transcode", {"height": 64}))
Say = Callable[[str], object]


def bad_day(template: Template, cluster: Cluster, folder: Path, film: bytes, say: Say) -> int:
    """Returns the number of broken promises."""
    with hosts(template, cluster, folder) as found:
        client, probe = Client(found.web, film), Probe(found.web)
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                work = [pool.submit(_one, client, KINDS[number % len(KINDS)]) for number in range(UPLOADS)]
                _do_faults(found, probe, work, say)
                until_up(found, lambda: all(future.done() for future in work), 600)
        finally:
            probe.stop()
        sent = [future.result() for future in work if future.exception() is None]
        broken = [f"a client gave up: {future.exception()}" for future in work if future.exception()]
        until_up(found, lambda: _unfinished(found.web[0]) == 0, 600)
        broken += [*_wrong_jobs(client, sent), *_wrong_bytes(found, sent), *_left_over(found)]
    for words in broken:
        say(f"BROKEN: {words}")
    say(f"{len(sent)} uploads and {sum(len(each.jobs) for each in sent)} jobs")
    return len(broken)


def _one(client: Client, kind: str) -> Sent:
    sent = client.send(kind)
    sent.jobs = [client.submit(sent.file, operation, dict(params)) for operation, params in _JOBS]
    return sent


def _do_faults(found: Hosts, probe: Probe, work: list["Future[Sent]"], say: Say) -> None:
    faults: list[tuple[str, Callable[[], object]]] = [
        *((f"kill -9 of {host.name}", host.kill) for host in found.all),
        ("PostgreSQL restarted", lambda: _restart(found)),
        ("Redis flushed", found.flush_redis),
        (f"the store frozen for {FROZEN:.0f} s", lambda: _freeze(found)),
        ("the store killed and started again", lambda: _restart_store(found)),
    ]
    say(f"{'':42} {'web 1 silent':>12} {'web 2 silent':>12} {'all back':>9}   uploads done")
    for name, fault in faults:
        time.sleep(2)
        probe.take()
        fault()
        back = until_up(found, lambda: all(_answers(server) for server in found.web))
        time.sleep(1)
        first, second = probe.take()
        done = sum(future.done() for future in work)
        say(f"{name:42} {first:10.1f} s {second:10.1f} s {back:7.1f} s   {done:>6}")


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


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/api/v1/files/", timeout=10).status == 200
    except OSError:
        return False


def _unfinished(server: Server) -> int:
    try:
        return int(query(server, "SELECT count(*) FROM media_jobs_job WHERE finished_at IS NULL")[0][0])
    except psycopg.Error:
        return 1


def _wrong_jobs(client: Client, sent: list[Sent]) -> list[str]:
    """Every job succeeded, once, with one artifact."""
    wrong = []
    for job in [job for each in sent for job in each.jobs]:
        found = client.ended(job)
        past = client.web[0].get(f"/api/v1/jobs/{job}/events/", user="alice").json()
        times = [event["state"] for event in past].count("succeeded")
        if (found["status"], times, len(found["artifacts"])) != ("succeeded", 1, 1):
            wrong.append(f"job {job}: {found['status']}, {times} times, {found['artifacts']}, {found['error']}")
    return wrong


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
    """No multipart upload, no partial object, no scratch, and fsck finds nothing."""
    server, client = found.web[0], found.store.client()
    for host in found.all:
        host.kill()  # leases of writers end, too
    time.sleep(10)
    server.manage("housekeeping", "--now")
    wrong = []
    if uploads := client.list_multipart_uploads(Bucket=found.bucket).get("Uploads"):
        wrong.append(f"{len(uploads)} multipart uploads are left")
    if partial := client.list_objects_v2(Bucket=found.bucket, Prefix="media/partial/").get("Contents"):
        wrong.append(f"{len(partial)} partial objects are left")
    work = [path for host in found.all for path in (host.server.home / "work").glob("*") if path.is_dir()]
    for host in found.all:
        host.server.manage("housekeeping", "--now")
    if work := [path for path in work if path.exists()]:
        wrong.append(f"work folders are left: {work}")
    checked: subprocess.CompletedProcess[str] = server.manage("fsck", "--deep", "--grace", "0", check=False)
    if checked.returncode:
        wrong.append(f"fsck --deep: {checked.stdout[-500:]}")
    return wrong
