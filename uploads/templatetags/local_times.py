"""Show times: rendered in the server's zone, converted by times.js to the viewer's. The tooltip has UTC."""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()
_FORMAT = "j M Y, H:i:s"  # similar to the format of times.js
_TIME = '<time datetime="{}" title="{} UTC"{}>{}</time>'


@register.filter
def local_time(moment: datetime | None) -> SafeString:
    if moment is None:
        return SafeString("")
    return _time(moment, SafeString(" data-local"), formats.date_format(timezone.localtime(moment), _FORMAT))


@register.filter
def time_ago(moment: datetime | None, now: datetime | None = None) -> SafeString:
    return SafeString("") if moment is None else _time(moment, SafeString(""), _ago(moment, now))


def _ago(moment: datetime, now: datetime | None) -> str:
    recent = (now or timezone.now()) - moment < timedelta(minutes=1)
    return "just now" if recent else f"{timesince(moment, now)} ago"


def _time(moment: datetime, attribute: SafeString, words: str) -> SafeString:
    utc = moment.astimezone(UTC)
    return format_html(_TIME, utc.isoformat(timespec="milliseconds"), f"{utc:%Y-%m-%d %H:%M:%S}", attribute, words)
