"""Alerts by e-mail, for installations without Prometheus. They report the same warnings as /readyz and the dashboard.

A mail is sent when a warning appears, when it is resolved, and as a reminder each day in between. The database holds
what was mailed, so a restart repeats nothing. If a mail cannot be sent, the next run of the chore tries again.
"""

import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from config.addresses import with_port
from uploads.hooks import ServiceWarning, current_warnings
from uploads.maintenance.housekeeping import Chore
from uploads.models import Alert
from uploads.runtime.database_connections import write

log = structlog.get_logger(__name__)
EVERY = timedelta(minutes=1)
REMIND = timedelta(days=1)
# A warning is resolved when it was not seen for this long. Otherwise a disk at its limit would cause a mail a minute.
RESOLVED_AFTER = timedelta(minutes=5)


@dataclass
class _Changes:
    new: list[Alert] = field(default_factory=list)
    ongoing: list[Alert] = field(default_factory=list)
    resolved: list[Alert] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.ongoing or self.resolved)


def mail_alerts() -> int:
    """Mail what has changed. Returns the number of mails. If the mail server fails, so does the chore."""
    if not settings.ALERT_EMAIL:
        return 0
    now = timezone.now()
    changes = _sort(_record([warning for warning in current_warnings() if warning.mailed], now), now)
    if not changes:
        return 0
    _send(changes)
    mailed = [alert.pk for alert in (*changes.new, *changes.ongoing)]
    with write():
        Alert.objects.filter(pk__in=mailed).update(mailed_at=now)
        Alert.objects.filter(pk__in=[alert.pk for alert in changes.resolved]).delete()
    log.info("alerts_mailed", codes=mailed, over=[alert.pk for alert in changes.resolved])
    return 1


def _record(warnings: Collection[ServiceWarning], now: datetime) -> list[Alert]:
    """Save the current warnings. Returns all alerts whose resolution was not mailed yet."""
    with write():
        for warning in warnings:
            Alert.objects.update_or_create(
                code=warning.code,
                defaults={"words": warning.words, "seen_at": now},
                create_defaults={"words": warning.words, "seen_at": now, "began_at": now},
            )
        # Resolved before a mail was sent.
        Alert.objects.filter(mailed_at=None, seen_at__lt=now - RESOLVED_AFTER).delete()
    return list(Alert.objects.order_by("began_at", "code"))


def _sort(alerts: Collection[Alert], now: datetime) -> _Changes:
    changes = _Changes()
    for alert in alerts:
        if alert.seen_at < now - RESOLVED_AFTER:
            changes.resolved.append(alert)
        elif alert.mailed_at is None:
            changes.new.append(alert)
        elif alert.mailed_at < now - REMIND:
            changes.ongoing.append(alert)
    return changes


def _send(changes: _Changes) -> None:
    """Send one mail. EMAIL_TIMEOUT limits each step of it."""
    parts = (("New", changes.new), ("Ongoing", changes.ongoing), ("Resolved", changes.resolved))
    lines = [
        f"{title}, since {alert.began_at:%Y-%m-%d %H:%M} UTC: {alert.words}"
        for title, alerts in parts
        for alert in alerts
    ]
    where = settings.PUBLIC_URL or f"http://{with_port(settings.HOST, settings.PORT)}"
    footer = f"{where}/admin/ shows the current warnings. docs/operations.md says what to do."
    EmailMessage(
        subject=f"Millrace on {socket.gethostname()}: {_subject(changes)}",
        body="\n\n".join([*lines, footer]) + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=settings.ALERT_EMAIL,
    ).send()


def _subject(changes: _Changes) -> str:
    states = {"new": changes.new, "ongoing": changes.ongoing, "resolved": changes.resolved}
    return ", ".join(
        f"{name}: {', '.join(alert.code.partition(':')[0] for alert in alerts)}"
        for name, alerts in states.items()
        if alerts
    )


ALERTS = Chore("mail alerts", EVERY, mail_alerts)
