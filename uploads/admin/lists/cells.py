"""HTML of table cells and fields: badges, progress bars, links, and text that live.js updates.

Text from users is always escaped: by format_html here, by textContent in live.js. It must not be put into an `x-*`
attribute, which Alpine.js would run.
"""

from typing import Any

from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString


def live_text(row: Model, name: str, text: str) -> SafeString:
    """Text that live.js keeps up to date. `name` is its key in `live_row`."""
    return format_html('<span data-live-id="{}" data-live="{}">{}</span>', row.pk, name, text)


def live_link(row: Model, name: str, text: str, url: str) -> SafeString:
    """A link that live.js keeps up to date, by the keys `name` and `name_url`. Without a URL it is plain text."""
    href = format_html(' href="{}"', url) if url else SafeString("")
    return format_html('<a class="mr-link" data-live-id="{}" data-live="{}"{}>{}</a>', row.pk, name, href, text)


def state_badge(row: Model, value: str, label: str, *, is_active: bool) -> SafeString:
    """The state of a row as a coloured badge. live.js polls for rows whose badge is active."""
    return format_html(
        '<span class="mr-state" data-live-id="{}" data-live="state" data-state="{}"{}>{}</span>',
        row.pk,
        value,
        SafeString(" data-active") if is_active else "",
        label,
    )


_BAR = """<span class="mr-progress">
<progress max="1" data-live-id="{0}" data-live="progress" aria-label="Progress"{1}></progress>
<span class="mr-message" data-live-id="{0}" data-live="message">{2}</span></span>"""


def progress_bar(row: Model, progress: float | None, message: str) -> SafeString:
    """A progress bar with a message below. If `progress` is None, the browser shows an animated bar."""
    value = SafeString("") if progress is None else format_html(' value="{}"', round(progress, 4))
    return format_html(_BAR, row.pk, value, message)


def copyable(text: str, shown: str = "") -> SafeString:
    """A long value with a Copy button."""
    return format_html(
        '<span class="mr-copyable"><code title="{0}">{1}</code><button type="button" class="mr-copy" '
        'data-copy="{0}" aria-label="Copy" title="Copy"><span class="material-symbols-outlined">content_copy</span>'
        "</button></span>",
        text,
        shown or text,
    )


def link(url: str, text: Any) -> SafeString:
    return format_html('<a href="{}" class="mr-link">{}</a>', url, text)
