"""Hooks of this app: other apps append functions to these lists at start-up (`AppConfig.ready`).

`uploads` calls them and does not import their owners.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from .models import MediaFile, Upload

# Called in the transaction that creates a file. They may write rows, and must not wait for anything.
file_stored: list[Callable[[MediaFile], None]] = []

# Called in the transaction that deletes a file. They may raise a Refusal to prevent it.
file_deleting: list[Callable[[MediaFile], None]] = []


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far an active upload is."""

    upload_id: UUID
    offset: int  # bytes that have arrived
    size: int | None  # None while it is unknown
    speed: float  # bytes per second


# Called for each active upload, each MILLRACE_PROGRESS_INTERVAL, in a thread of its own: no waiting. Errors are
# logged.
upload_progress: list[Callable[[UploadProgress], None]] = []

# Given what an upload wants to be run on its file, by names or ids, return their ids, or raise a Refusal.
arrival_choices: list[Callable[[User, Sequence[str]], Sequence[str]]] = []


@dataclass(frozen=True, slots=True)
class ArrivalOption:
    """Something that may be run on a new file, and whether it is if the upload does not choose."""

    id: str
    label: str
    is_chosen: bool


# Return what an account may choose in the form for uploads.
arrival_options: list[Callable[[User | AnonymousUser], Sequence[ArrivalOption]]] = []

# Called in the transaction that ends an upload, with its file, or None if it failed.
upload_ended: list[Callable[[Upload, MediaFile | None], None]] = []

# Return when the oldest work began that is running and may read content: it may know a key that has been moved since.
oldest_readers: list[Callable[[], datetime | None]] = []

# Called in the transaction that marks a direct upload as sent: a worker is to check its content.
upload_sent: list[Callable[[Upload], None]] = []

# Return which of these keys hold bytes that have no Blob yet but are in use: the sweep leaves them alone.
keys_in_use: list[Callable[[Collection[str]], Collection[str]]] = []


# Permissions that an account which is not staff has for the objects it owns. Staff needs them to be granted.
owners_rights: set[str] = set()


@dataclass(frozen=True, slots=True)
class ServiceWarning:
    """A problem that an administrator should know of, while the service keeps working."""

    code: str  # stays the same while the problem lasts; the text may change
    words: str  # one or two sentences
    mailed: bool = True  # whether to send an e-mail about it


# Return current problems. Shown by /readyz, the dashboard, and e-mail alerts (config/monitoring/email_alerts.py).
warnings: list[Callable[[], Iterable[ServiceWarning]]] = []


def current_warnings() -> list[ServiceWarning]:
    return [warning for find in warnings for warning in find()]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a file's admin page: a template and its context.

    The place `player` is inside the player, below the media element: for a waveform, tracks, or scrubber pictures.
    Scripts find the media element as `[data-plays]`, whose value is the file's kind.
    """

    template: str
    context: Mapping[str, object] = field(default_factory=dict)
    place: Literal["player", "main", "side"] = "main"


file_panels: list[Callable[[HttpRequest, MediaFile], Sequence[Panel]]] = []

# Given the ids of the files on a page, return the id of a small picture for each file that has one.
file_pictures: list[Callable[[Collection[UUID]], Mapping[UUID, UUID]]] = []

# Return the URL of an HLS playlist that may play the file, or "". Given the token of a signed link, below that link.
playlist_urls: list[Callable[[MediaFile, str], str]] = []


@dataclass(frozen=True, slots=True)
class Previews:
    """What a player shows besides the file: URLs of pictures along its timeline and of captions. "" where none is."""

    # WebVTT whose cues name a picture beside it, and a part of that: "sheet.jpg#xywh=0,0,160,90"
    storyboard: str = ""
    waveform: str = ""  # a picture as wide as the file is long, with a transparent ground
    captions: str = ""  # WebVTT of what is said
    captions_language: str = ""  # a code such as "en"


# Return the previews of a file. Given the token of a signed link, with URLs below that link.
player_previews: list[Callable[[MediaFile, str], Previews]] = []


@dataclass(frozen=True, slots=True)
class FilePage:
    """An admin page about one file, at `mediafile/ID/name/`; with `act`, also an action on selected files; with
    `act_on_all`, also a page about all files of the list as it is filtered, at `mediafile/all/name/?FILTERS`.

    `act` is a Django admin action: it is called for the list's POST, and for the POSTs of the page it returned.
    `view` and `act` check permissions themselves; `offered` only says whether to show the button.
    """

    name: str
    label: str
    icon: str
    view: Callable[[HttpRequest, MediaFile], HttpResponse]
    offered: Callable[[User | AnonymousUser], bool]
    act: Callable[[HttpRequest, QuerySet[MediaFile]], HttpResponse | None] | None = None
    act_on_all: Callable[[HttpRequest, QuerySet[MediaFile]], HttpResponse] | None = None


file_pages: list[FilePage] = []


@dataclass(frozen=True, slots=True)
class DeletionPreview:
    """What the deletion of a file would also delete, as text; or why the file cannot be deleted."""

    also: Sequence[str] = ()
    kept: str = ""


# Return what deleting the file would do, for the confirmation page.
file_deletion_previews: list[Callable[[MediaFile], DeletionPreview]] = []


@dataclass(frozen=True, slots=True)
class TextAbout:
    """A text that finds a file, and is about something else of it, such as a job."""

    file: MediaFile
    about: UUID
    text: str


@dataclass(frozen=True, slots=True)
class TextSource:
    """A source of such texts. Who writes one calls text_index.add_texts, and remove_texts when its subject goes."""

    name: str  # as answers of the search name it
    texts_of: Callable[[Collection[MediaFile]], Iterable[TextAbout]]  # all of these files, for an index made anew
    # Which of its texts an account may see, of those that find files which it may see. None: all.
    visible: Callable[[User | AnonymousUser], Q | None]
    api_route: str  # of the page of what a text is about, which takes its id
    admin_route: str


text_sources: list[TextSource] = []
