"""What Prometheus is told, and that its rules and the dashboard ask for what there is."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from media_jobs.errors import BadMedia
from media_jobs.models import Job, Worker
from media_jobs.queue import lost_leases, outcomes, states
from tests.support.in_server import counting
from tests.support.job_rows import a_job, a_worker, claimed
from tests.support.running_servers import StartServer
from tests.support.server import ROOT, Server, query
from tests.support.waiting import wait_until
from uploads.models import CounterIncrement
from uploads.monitoring.counters import StoredCounter, add_up, count
from uploads.transfers import upload_counters as of_uploads

Film = Callable[..., bytes]


def parsed(text: str) -> dict[str, float]:
    lines = text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def here() -> dict[str, float]:
    return parsed(Client().get("/metrics").content.decode())


def of(server: Server) -> dict[str, float]:
    return parsed(server.get("/metrics").body.decode())


# What other processes know


@pytest.mark.django_db
def test_jobs_are_counted_by_operation_and_result_with_their_durations() -> None:
    worker = a_worker()
    a_job()
    lease = claimed(worker)
    Job.objects.update(started_at=Now() - timedelta(seconds=20))
    lease.job.refresh_from_db()
    outcomes.end_failed(lease, BadMedia("It is broken."), {})
    waiting = a_job(params={"width": 20})
    states.mark_cancelled(states.waiting(waiting), waiting)
    found = here()
    assert found['millrace_jobs_ended_total{operation="thumbnail",reason="bad_media",result="failed"}'] == 1
    assert found['millrace_jobs_ended_total{operation="thumbnail",reason="",result="cancelled"}'] == 1
    took = 'millrace_job_duration_seconds_{}operation="thumbnail",result="failed"}}'
    assert found[took.format('bucket{le="15.0",')] == 0
    assert found[took.format('bucket{le="60.0",')] == found[took.format("count{")] == 1
    assert 20 <= found[took.format("sum{")] < 60
    assert took.format("count{").replace("failed", "cancelled") not in found  # it never ran


@pytest.mark.django_db
def test_lost_leases_are_counted() -> None:
    worker = a_worker()
    a_job()
    claimed(worker)
    Job.objects.update(lease_until=Now() - timedelta(minutes=1))
    assert lost_leases.reap(lambda: None) == 1
    assert here()['millrace_job_leases_lost_total{operation="thumbnail"}'] == 1


@pytest.mark.django_db
def test_what_waits_and_who_works_is_told_by_lane() -> None:
    a_job()
    oldest = a_job(params={"width": 20})
    Job.objects.filter(pk=oldest.pk).update(queued_at=Now() - timedelta(minutes=5))
    a_worker()
    dead = a_worker("heavy")
    Worker.objects.filter(pk=dead.pk).update(seen_at=Now() - timedelta(minutes=1))
    found = here()
    assert 300 <= found['millrace_job_oldest_wait_seconds{lane="quick"}'] < 3000
    assert found['millrace_job_oldest_wait_seconds{lane="heavy"}'] == 0
    assert (found['millrace_workers{lane="quick"}'], found['millrace_workers{lane="heavy"}']) == (1, 0)


@pytest.mark.django_db
def test_a_scrape_costs_the_same_number_of_queries_whatever_there_is() -> None:
    with CaptureQueriesContext(connection) as few:
        here()
    for number in range(50):
        count(of_uploads.UPLOADS.one("put", "failed", f"reason {number}"))
    a_job(), a_worker()
    with CaptureQueriesContext(connection) as many:
        here()
    assert len(many) == len(few) <= 10


EVENTS = StoredCounter("events", "Of this test.", ["kind"])


def in_all() -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in CounterIncrement.objects.filter(name="events"):
        [kind] = json.loads(row.labels)
        counted[kind] = counted.get(kind, 0) + row.count
    return counted


@pytest.mark.django_db
def test_increments_are_added_up_to_one_row_each() -> None:
    for number in range(30):
        count(EVENTS.one("even" if number % 2 == 0 else "odd"), EVENTS.one("any"))
    add_up()
    assert in_all() == {"even": 15, "odd": 15, "any": 30}
    assert CounterIncrement.objects.filter(name="events").count() == 3
    add_up()
    assert in_all() == {"even": 15, "odd": 15, "any": 30}


def test_two_servers_add_up_at_once_and_nothing_counts_twice(start_server: StartServer) -> None:
    server = start_server()
    others = threading.Thread(target=server.call, args=(counting.count_in_threads,))
    others.start()
    server.call(counting.count_in_threads)
    others.join()
    sums = query(
        server, "SELECT labels, SUM(count) FROM uploads_counterincrement WHERE name = 'events' GROUP BY labels"
    )
    assert {labels: int(number) for labels, number in sums} == {'["a"]': 90, '["b"]': 90}


def test_what_ends_in_other_processes_is_counted_and_survives_a_restart(
    start_server: StartServer, clip: bytes
) -> None:
    server = start_server()
    server.start_worker()
    file = server.put("clip.mp4", clip).json()
    done = 'millrace_jobs_ended_total{operation="inspect",reason="",result="succeeded"}'
    wait_until(lambda: of(server).get(done) == 1, 60, lambda: server.log)
    assert server.put("twin.mp4", clip).status == 201
    path = server.home / "on-disk.mp4"
    path.write_bytes(clip)
    server.manage("ingest", "--owner", "alice", str(path))
    wanted = {
        done: 3,
        'millrace_job_cache_hits_total{operation="inspect"}': 2,
        'millrace_uploads_total{protocol="put",reason="",result="complete"}': 2,
        'millrace_uploads_total{protocol="ingest",reason="",result="complete"}': 1,
        'millrace_upload_duration_seconds_count{size_class="10MiB"}': 3,
        'millrace_job_duration_seconds_count{operation="inspect",result="succeeded"}': 1,
    }
    assert {name: of(server).get(name) for name in wanted} == wanted
    server.manage("housekeeping", "--once")
    server.restart()
    assert {name: of(server).get(name) for name in wanted} == wanted
    assert of(server)['millrace_chore_runs_total{chore="add up counters",result="done"}'] == 1
    assert of(server)["millrace_backup_last_success_timestamp_seconds"] > 0
    assert file["size"] == len(clip)


# Of the web server


def announced(server: Server, method: str, path: str, headers: dict[str, str]) -> int:
    """The status for a request of 3 MB, none of which is sent."""
    sent = {"Authorization": f"Bearer {server.tokens['alice']}", "Content-Length": "3000000", "Host": "127.0.0.1"}
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (sent | headers).items()), "", ""]
    return int(server.raw("\r\n".join(head).encode()).split()[1])


def test_uploads_that_are_refused_by_their_length_alone_are_counted(start_server: StartServer) -> None:
    server = start_server(MAX_FILE_SIZE="1MiB")
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "3000000"}
    for method, path, headers in (
        ("PUT", "/api/v1/upload/a.mp4", {}),
        ("POST", "/api/v1/files/", {"Content-Type": "multipart/form-data; boundary=b"}),
        ("POST", "/api/v1/uploads/", tus),
        ("POST", "/admin/login/", {}),  # is no upload
    ):
        assert announced(server, method, path, headers) == 413
    assert server.request("POST", "/api/v1/uploads/", None, tus).status == 413  # announced, and no body
    refused = {name: value for name, value in of(server).items() if name.startswith("millrace_uploads_total")}
    assert refused == {
        'millrace_uploads_total{protocol="form",reason="too_large",result="refused"}': 1,
        'millrace_uploads_total{protocol="put",reason="too_large",result="refused"}': 1,
        'millrace_uploads_total{protocol="tus",reason="too_large",result="refused"}': 2,
    }


def test_answers_are_counted_by_the_name_of_their_route_and_never_by_what_a_client_writes(
    start_server: StartServer, clip: bytes
) -> None:
    server = start_server()
    file = server.put("a-name.mp4", clip).json()
    server.get(f"/api/v1/files/{file['id']}/content", user="alice")
    server.get("/no-such-page")
    server.request("BREW", "/healthz")
    found = of(server)
    answers = 'millrace_http_responses_total{{method="{}",route="{}",status="{}"}}'
    assert found[answers.format("PUT", "upload", 201)] == 1
    assert found[answers.format("GET", "file-content", 200)] == 1
    assert found[answers.format("GET", "none", 404)] == 1
    assert found[answers.format("other", "healthz", 405)] == 1
    assert found['millrace_http_request_duration_seconds_count{method="GET",route="file-content"}'] == 1
    text = server.get("/metrics").body.decode()
    assert not [word for word in ("a-name", file["id"], "no-such-page", "BREW", "/api/") if word in text]


@pytest.mark.local_disk
def test_room_memory_and_limits_are_told(start_server: StartServer) -> None:
    found = of(start_server(MIN_FREE="1MiB", THREADS="20"))
    assert found["millrace_storage_floor_bytes"] >= 1024**2
    assert found["millrace_storage_warning_bytes"] == 5 * 1024**2
    assert found["millrace_storage_free_bytes"] > 0
    assert found["millrace_uploads_active_limit"] == 20
    zero = (
        "uploads_active",
        "upload_memory_bytes",
        "storage_reserved_bytes",
        "quarantine_objects",
        "quarantine_bytes",
    )
    assert [found[f"millrace_{name}"] for name in zero] == [0] * len(zero)
    assert not [name for name in found if name.startswith("millrace_") and name.endswith("_created")]


# Rules, dashboard and runbook

_METRIC = re.compile(r"\bmillrace_\w+")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((ROOT / "deploy/prometheus/millrace-alerts.yml").read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return list(json.loads((ROOT / "deploy/grafana/millrace.json").read_text())["panels"])


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))


@pytest.mark.local_disk
def test_rules_dashboard_and_the_table_of_metrics_name_what_a_server_tells(start_server: StartServer) -> None:
    told = families(start_server().get("/metrics").body.decode())
    used = {name for expression in expressions() for name in _METRIC.findall(expression)}
    assert used
    assert [name for name in used if name not in told and _SUFFIX.sub("", name) not in told] == []
    documented = set(_METRIC.findall((ROOT / "docs/operations.md").read_text()))
    ours = {name for name in told if name.startswith("millrace_") and not name.endswith("_created")}
    assert documented == ours


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_each_alert_has_a_runbook_entry(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in anchors(ROOT / page)
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_expressions_are_balanced_and_the_example_names_the_file_of_rules() -> None:
    for expression in expressions():
        bare = re.sub(r'"[^"]*"', "", expression)
        assert all(bare.count(left) == bare.count(right) for left, right in ("()", "[]", "{}")), expression
    example = yaml.safe_load((ROOT / "deploy/prometheus/millrace.yml").read_text())
    assert [(ROOT / "deploy/prometheus" / name).is_file() for name in example["rule_files"]] == [True]
    assert [config["job_name"] for config in example["scrape_configs"]] == ["millrace"]
