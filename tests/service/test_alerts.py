"""Alerts by e-mail: when something begins, when it is over, and a reminder a day; to a real mail server."""

import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from config.monitoring import email_alerts
from config.monitoring.email_alerts import mail_alerts
from media_jobs.models import Job
from tests.support.free_ports import free_port
from tests.support.in_server import chores
from tests.support.job_rows import a_job, a_worker
from tests.support.mail_server import MailServer, mail_server, text_of
from tests.support.running_servers import StartServer
from tests.support.server import Server, Template, query
from tests.support.waiting import wait_until
from uploads.hooks import current_warnings
from uploads.maintenance.housekeeping import Chore, run
from uploads.models import Alert, ChoreRecord
from uploads.monitoring import chore_records
from uploads.storage.marker import adopt
from uploads.storage.stores import sink


@pytest.fixture
def mails(settings: Any, db: None) -> Iterator[MailServer]:
    with mail_server() as server:
        adopt(sink())
        settings.ALERT_EMAIL = ["ops@example.com", "boss@example.com"]
        settings.DEFAULT_FROM_EMAIL = "ops@example.com"
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"  # which the test runner takes away
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


def fill_disk(settings: Any, warn_free: int = 10**18) -> None:
    """As far as the settings go."""
    settings.UPLOADS = replace(settings.UPLOADS, warn_free=warn_free)


def pass_time(by: timedelta) -> None:
    """Everything that is known of alerts was so much earlier."""
    Alert.objects.update(seen_at=F("seen_at") - by, mailed_at=F("mailed_at") - by, began_at=F("began_at") - by)


def codes() -> list[str]:
    return [warning.code for warning in current_warnings()]


def test_a_disk_that_is_nearly_full_is_mailed_once_reminded_daily_and_mailed_when_it_is_over(
    mails: MailServer, settings: Any
) -> None:
    assert mail_alerts() == 0
    fill_disk(settings)
    assert [mail_alerts(), mail_alerts(), mail_alerts()] == [1, 0, 0]
    [mail] = mails.mails
    assert "new: disk_nearly_full" in mail["Subject"]
    assert mail["To"] == "ops@example.com, boss@example.com"
    assert "The disk is nearly full" in text_of(mail)

    pass_time(timedelta(hours=23))
    assert mail_alerts() == 0
    pass_time(timedelta(hours=2))
    assert [mail_alerts(), mail_alerts()] == [1, 0]
    assert "ongoing: disk_nearly_full" in mails.mails[-1]["Subject"]

    fill_disk(settings, 0)
    assert mail_alerts() == 0  # it may come again in a minute
    pass_time(timedelta(minutes=6))
    assert [mail_alerts(), mail_alerts()] == [1, 0]
    assert "resolved: disk_nearly_full" in mails.mails[-1]["Subject"]
    assert (len(mails.mails), Alert.objects.count()) == (3, 0)


def test_a_disk_at_its_limit_sends_no_mail_each_minute(mails: MailServer, settings: Any) -> None:
    for _ in range(4):
        fill_disk(settings)
        mail_alerts()
        pass_time(timedelta(minutes=1))
        fill_disk(settings, 0)
        mail_alerts()
        pass_time(timedelta(minutes=1))
    assert len(mails.mails) == 1


def test_an_unreachable_mail_server_is_tried_again_and_the_chore_is_seen_to_fail(
    mails: MailServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chore_records, "_unwritten", {})
    settings.EMAIL_PORT = free_port()
    fill_disk(settings)
    run(email_alerts.ALERTS)  # it raises nothing
    assert not mails.mails
    record = ChoreRecord.objects.get(name="mail alerts")
    assert (record.done, record.failed, record.failing_since is None) == (0, 1, False)
    settings.EMAIL_PORT = mails.port
    run(email_alerts.ALERTS)
    assert "new: disk_nearly_full" in mails.mails[-1]["Subject"]
    record.refresh_from_db()
    assert (record.done, record.failed, record.failing_since) == (1, 1, None)


def test_a_mail_server_that_is_silent_is_waited_for_ten_seconds_at_most() -> None:
    assert django_settings.EMAIL_TIMEOUT <= 10


def test_without_an_address_nothing_is_mailed_or_kept(mails: MailServer, settings: Any) -> None:
    settings.ALERT_EMAIL = []
    fill_disk(settings)
    assert (mail_alerts(), mails.mails, Alert.objects.count()) == (0, [], 0)


def test_a_dead_lane_is_one_where_jobs_wait_and_no_worker_lives(mails: MailServer) -> None:
    job = a_job()
    assert codes() == []  # it was queued just now
    Job.objects.filter(pk=job.pk).update(queued_at=Now() - timedelta(minutes=5))
    assert codes() == ["lane_dead:quick"]
    assert mail_alerts() == 1
    assert "Jobs wait in the lane quick, and it has no running worker." in text_of(mails.mails[0])
    a_worker()
    assert codes() == []


@pytest.mark.django_db
def test_a_chore_that_fails_for_a_minute_is_told_of_until_it_succeeds() -> None:
    name, works = f"clean up {uuid.uuid4().hex[:6]}", False

    def do() -> int:
        if not works:
            raise OSError("no such disk")
        return 0

    chore = Chore(name, timedelta(hours=1), do)
    run(chore), run(chore)
    assert codes() == []
    ChoreRecord.objects.filter(name=name).update(failing_since=Now() - timedelta(minutes=2))
    assert codes() == [f"chore_fails:{name}"]
    ready = Client().get("/readyz").json()["warnings"]
    assert f"The chore “{name}” has failed since" in ready[0]
    metrics = Client().get("/metrics").content.decode()
    assert f'millrace_chore_failing{{chore="{name}"}} 1.0' in metrics
    works = True
    run(chore)
    assert codes() == []
    metrics = Client().get("/metrics").content.decode()
    assert f'millrace_chore_runs_total{{chore="{name}",result="failed"}}' in metrics
    assert f'millrace_chore_failing{{chore="{name}"}} 0.0' in metrics


@pytest.mark.django_db
def test_housekeeping_that_does_not_run_is_told_of() -> None:
    run(Chore("breathe", timedelta(seconds=1), lambda: 0))
    assert codes() == []
    ChoreRecord.objects.update(written_at=Now() - timedelta(minutes=15))
    assert codes() == ["housekeeping_silent"]


@pytest.mark.django_db
def test_a_chore_of_each_host_fails_on_one_host_alone_and_is_silent_on_this_host_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_chores() -> list[str]:
        # Two hosts should share a cache and a broker, too.
        return [code for code in codes() if not code.endswith("_not_shared")]

    monkeypatch.setattr(chore_records, "_unwritten", {})
    run(Chore("breathe", timedelta(hours=1), lambda: 0))
    run(Chore("look after the disk", timedelta(hours=1), lambda: 0, per_host=True))
    chore_records.record_run("look after the disk", "another-host", failed=True)
    here, there = ChoreRecord.objects.get(host=socket.gethostname()), ChoreRecord.objects.get(host="another-host")
    assert of_chores() == []
    ChoreRecord.objects.filter(pk=there.pk).update(failing_since=Now() - timedelta(minutes=2))
    assert of_chores() == ["chore_fails:look after the disk on another-host"]
    metrics = Client().get("/metrics").content.decode()
    for series in (
        'runs_total{chore="look after the disk",result="done"} 1',
        'failing{chore="look after the disk"} 1',
    ):
        assert f"millrace_chore_{series}.0" in metrics

    ChoreRecord.objects.filter(pk=there.pk).update(written_at=Now() - timedelta(days=2))  # that host is gone
    assert of_chores() == []
    ChoreRecord.objects.filter(pk=here.pk).update(written_at=Now() - timedelta(minutes=15))
    assert of_chores() == [f"housekeeping_silent:{socket.gethostname()}"]


def test_records_of_an_earlier_version_keep_their_counts(template: Template, tmp_path: Path) -> None:
    server = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"))
    try:
        server.manage("migrate", "uploads", "0010_sink_names")
        server.call(chores.insert_record_of_0010, "keep the ballast", done=7)
        server.manage("migrate")
        assert query(server, "SELECT chore, host, done FROM uploads_chorerecord") == [("keep the ballast", "", 7)]
    finally:
        server.end()


_MAILED = "SELECT done FROM uploads_chorerecord WHERE name = 'mail alerts' AND done > 0"


def test_housekeeping_mails_what_begins_and_a_restart_repeats_nothing(start_server: StartServer) -> None:
    with mail_server() as mails:
        url = f"smtp://127.0.0.1:{mails.port}"
        server = start_server(ALERT_EMAIL="ops@example.com", WARN_FREE="9000TB")
        server.variables["EMAIL_URL"] = url
        for _ in range(2):
            server.call(chores.forget_chore, "mail alerts")
            housekeeping = server.run_beside("housekeeping")
            wait_until(lambda: query(server, _MAILED), 60, lambda: server.log)
            housekeeping.kill()
            housekeeping.wait()
        [mail] = mails.mails
        assert "disk_nearly_full" in mail["Subject"]
        assert mail["From"] == "ops@example.com"
