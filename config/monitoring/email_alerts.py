"""Alerts by e-mail, for installations without Prometheus. What is wrong is what /readyz and the dashboard show.

One mail when something begins, one when it is over, a reminder each day between. What was mailed is in the database,
so a restart repeats nothing. A mail that cannot be sent is tried again at the next run of the chore, a minute later.
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
# Something is over when it was not seen for so long: a disk at its limit would send a mail a minute.
CALM = timedelta(minutes=5)


@dataclass
class _News:
    began: list[Alert] = field(default_factory=list)
    lasting: list[Alert] = field(default_factory=list)
    over: list[Alert] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.began or self.lasting or self.over)


def mail_alerts() -> int:
    """Mail what is new. Answers how many mails were sent. An error of the mail server is raised: the chore fails."""
    if not settings.ALERT_EMAIL:
        return 0
    now = timezone.now()
    news = _news(_note([warning for warning in current_warnings() if warning.mailed], now), now)
    if not news:
        return 0
    _send(news)
    told = [alert.pk for alert in (*news.began, *news.lasting)]
    with write():
        Alert.objects.filter(pk__in=told).update(mailed_at=now)
        Alert.objects.filter(pk__in=[alert.pk for alert in news.over]).delete()
    log.info("alerts_mailed", codes=told, over=[alert.pk for alert in news.over])
    return 1


def _note(wrong: Collection[ServiceWarning], now: datetime) -> list[Alert]:
    """Write down what is wrong now. All alerts that are not known to be over."""
    with write():
        for warning in wrong:
            Alert.objects.update_or_create(
                code=warning.code,
                defaults={"words": warning.words, "seen_at": now},
                create_defaults={"words": warning.words, "seen_at": now, "began_at": now},
            )
        # It was over before anybody was told.
        Alert.objects.filter(mailed_at=None, seen_at__lt=now - CALM).delete()
    return list(Alert.objects.order_by("began_at", "code"))


def _news(alerts: Collection[Alert], now: datetime) -> _News:
    news = _News()
    for alert in alerts:
        if alert.seen_at < now - CALM:
            news.over.append(alert)
        elif alert.mailed_at is None:
            news.began.append(alert)
        elif alert.mailed_at < now - REMIND:
            news.lasting.append(alert)
    return news


def _send(news: _News) -> None:
    """EMAIL_TIMEOUT bounds it."""
    parts = (("Began", news.began), ("Still so", news.lasting), ("Over", news.over))
    lines = [
        f"{title}, since {alert.began_at:%Y-%m-%d %H:%M} UTC: {alert.words}"
        for title, alerts in parts
        for alert in alerts
    ]
    where = settings.PUBLIC_URL or f"http://{with_port(settings.HOST, settings.PORT)}"
    footer = f"{where}/admin/ shows what is wrong just now; docs/operations.md tells what to do."
    EmailMessage(
        subject=f"Millrace on {socket.gethostname()}: {_subject(news)}",
        body="\n\n".join([*lines, footer]) + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=settings.ALERT_EMAIL,
    ).send()


def _subject(news: _News) -> str:
    said = {"new": news.began, "lasting": news.lasting, "over": news.over}
    return ", ".join(
        f"{name}: {', '.join(alert.code.partition(':')[0] for alert in some)}" for name, some in said.items() if some
    )


ALERTS = Chore("mail alerts", EVERY, mail_alerts)
