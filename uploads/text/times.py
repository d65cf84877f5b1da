"""Parse dates and times, and write durations for people."""

from datetime import UTC, datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime

UNREADABLE = "Write a date and time as 2026-01-31T12:00:00Z."


def parse_moment(text: str) -> datetime:
    """Parse an ISO 8601 date and time to UTC. Raises ValueError, also for a result outside of the years 1 to 9999."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None  # such as month 13
    if moment is None:
        raise ValueError(UNREADABLE)
    return to_utc(moment)


def to_utc(moment: datetime) -> datetime:
    try:
        return (moment if timezone.is_aware(moment) else timezone.make_aware(moment)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(UNREADABLE) from error


def human_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def clock(seconds: float) -> str:
    """A place in a recording, as players show it: 1:02:03 or 2:03."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
