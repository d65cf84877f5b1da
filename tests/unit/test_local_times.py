from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from config import env
from config import setting_parsers as parse
from uploads.templatetags.local_times import local_time, time_ago

MOMENT = datetime(2026, 11, 28, 23, 5, 9, tzinfo=UTC)


def test_a_moment_is_written_in_the_servers_zone_with_utc_beside_it() -> None:
    with timezone.override("Asia/Kolkata"):
        assert local_time(MOMENT) == (
            '<time datetime="2026-11-28T23:05:09.000+00:00" title="2026-11-28 23:05:09 UTC" data-local>'
            "29 Nov 2026, 04:35:09</time>"
        )


def test_how_long_ago_a_moment_was_has_it_in_the_title() -> None:
    said = time_ago(MOMENT, MOMENT + timedelta(minutes=3))
    assert 'title="2026-11-28 23:05:09 UTC">3\xa0minutes ago</time>' in said


def test_no_moment_is_nothing() -> None:
    assert local_time(None) == time_ago(None) == ""


@pytest.mark.parametrize("raw", ["Europe/Berlin", "UTC"])
def test_a_zone_that_there_is_is_read(raw: str) -> None:
    assert parse.time_zone(raw) == raw


@pytest.mark.parametrize("raw", ["Europe/Bärlin", "CEST+1", "../../etc/passwd", "/etc/localtime", "Europe"])
def test_a_zone_that_there_is_not_is_refused(raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_TIME_ZONE", raw)
    with pytest.raises(
        ImproperlyConfigured, match="write a time zone that this machine knows, such as Europe/Berlin"
    ):
        env.read("TIME_ZONE", "UTC", parse.time_zone)


def test_the_last_minute_is_just_now() -> None:
    assert ">just now</time>" in time_ago(MOMENT, MOMENT + timedelta(seconds=59))
