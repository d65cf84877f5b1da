"""What stands in lists and facts pages: figures as people read them, and what moves by itself.

User text is always text here: format_html escapes it, it is put in no `x-*` attribute, and live.js sets textContent.
"""

from typing import Any

from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString


def live_text(row: Model, name: str, text: str) -> SafeString:
    """Text that live.js keeps as the row's live state says it: `name` is its field there."""
    return format_html('<span data-live-id="{}" data-live="{}">{}</span>', row.pk, name, text)


def live_link(row: Model, name: str, text: str, url: str) -> SafeString:
    """The same, of a link, which is plain text while it leads nowhere: `name` and `name_url` are its fields there."""
    leads = format_html(' href="{}"', url) if url else SafeString("")
    return format_html('<a class="mr-link" data-live-id="{}" data-live="{}"{}>{}</a>', row.pk, name, leads, text)


def state_badge(row: Model, value: str, label: str, *, is_active: bool) -> SafeString:
    """What becomes of the row, as a coloured badge. While it moves, live.js asks for it."""
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
    """A progress bar over its message. Without a known end it has no value, and browsers show it moving."""
    value = SafeString("") if progress is None else format_html(' value="{}"', round(progress, 4))
    return format_html(_BAR, row.pk, value, message)


def copyable(text: str, shown: str = "") -> SafeString:
    """A value too long to type, with a button that copies it."""
    return format_html(
        '<span class="mr-copyable"><code title="{0}">{1}</code><button type="button" class="mr-copy" '
        'data-copy="{0}" aria-label="Copy" title="Copy"><span class="material-symbols-outlined">content_copy</span>'
        "</button></span>",
        text,
        shown or text,
    )


def link(url: str, text: Any) -> SafeString:
    return format_html('<a href="{}" class="mr-link">{}</a>', url, text)
