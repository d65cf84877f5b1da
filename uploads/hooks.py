"""What the rest of the house wants to happen to files. uploads calls these and does not know who fills them in."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from .models import MediaFile, Upload

# Called inside the transaction that makes a file visible: rows only, no waiting.
file_stored: list[Callable[[MediaFile], None]] = []

# Called inside the transaction that would delete a file; raise a Refusal to prevent it.
file_deleting: list[Callable[[MediaFile], None]] = []

# Called inside the transaction that ends an upload, whatever became of it.
upload_ended: list[Callable[[Upload, MediaFile | None], None]] = []

# Asked which of these keys of a sink are somebody's bytes that have no Blob yet: nobody sweeps those.
keys_in_use: list[Callable[[Collection[str]], Collection[str]]] = []


# What an account that is not staff may do with what it owns: the permissions that staff needs for it.
owners_rights: set[str] = set()


@dataclass(frozen=True, slots=True)
class ServiceWarning:
    """What an administrator must know though the service goes on."""

    code: str  # the same for as long as it lasts, while its words may change
    words: str  # one or two sentences
    mailed: bool = True  # whether it is worth an e-mail


# What is wrong just now: /readyz, the dashboard and alerts by e-mail (config/monitoring/email_alerts.py) ask here.
warnings: list[Callable[[], Iterable[ServiceWarning]]] = []


def current_warnings() -> list[ServiceWarning]:
    return [warning for ask in warnings for warning in ask()]


@dataclass(frozen=True, slots=True)
class Panel:
    """What a file's admin page shows besides the file: a template, and what it is rendered with.

    `player` is within the player, below what plays: a waveform, tracks, pictures of the scrubber. A script that works
    on what plays finds it as `[data-plays]`, whose value is the file's kind.
    """

    template: str
    context: Mapping[str, object] = field(default_factory=dict)
    place: Literal["player", "main", "side"] = "main"


file_panels: list[Callable[[HttpRequest, MediaFile], Sequence[Panel]]] = []

# Asked, once for all files of a page, which file is a small picture of each; of those that have one.
file_pictures: list[Callable[[Collection[UUID]], Mapping[UUID, UUID]]] = []


@dataclass(frozen=True, slots=True)
class FilePage:
    """A page of its own about one file, at `mediafile/ID/name/`; and, given `act`, an action on a selection of files.

    `act` is an admin action: it is called for the list's POST, and for those of the page that it answered with.
    Both ask for themselves what their user may do; `offered` says whether it is worth a button.
    """

    name: str
    label: str
    icon: str
    view: Callable[[HttpRequest, MediaFile], HttpResponse]
    offered: Callable[[User | AnonymousUser], bool]
    act: Callable[[HttpRequest, QuerySet[MediaFile]], HttpResponse | None] | None = None


file_pages: list[FilePage] = []


@dataclass(frozen=True, slots=True)
class Going:
    """What would go with a file that is deleted, in words; or why it stays."""

    also: Sequence[str] = ()
    kept: str = ""


# Asked what `file_deleting` would do, before anybody decides.
file_going: list[Callable[[MediaFile], Going]] = []
