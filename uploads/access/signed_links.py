"""Signed links to a file. They expire; incrementing the file's `link_epoch` revokes all of them."""

import math
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from django.contrib.auth.models import User
from django.core import signing
from django.db.models import Exists, F
from django.http import HttpRequest
from django.urls import reverse

from .. import audit_log
from ..conf import limits
from ..errors import InvalidLink
from ..models import MediaFile
from ..runtime.database_connections import write

_SALT = "millrace.link"
_ADVICE = "Ask the person who sent it to you for a new one."
DEFAULT_SECONDS = 24 * 3600
MAX_SECONDS = 30 * DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class Link:
    url: str  # the content
    page_url: str  # a page that plays it
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ResolvedLink:
    file: MediaFile
    seconds_left: int


def make(file: MediaFile, seconds: int, request: HttpRequest) -> Link:
    """Create a link that is valid for `seconds`, at PUBLIC_URL or else at the host of this request."""
    expires_at = int(time.time()) + seconds
    token = sign(file, expires_at, request.user.pk)
    paths = reverse("link-content", args=[token, file.name]), reverse("link-page", args=[token])
    url, page_url = (_absolute(path, request) for path in paths)
    ends = datetime.fromtimestamp(expires_at, UTC)
    audit_log.note(file, f"Created a link that is valid until {ends:%Y-%m-%d %H:%M} UTC.")
    return Link(url, page_url, ends)


def _absolute(path: str, request: HttpRequest) -> str:
    return f"{limits().public_url}{path}" if limits().public_url else request.build_absolute_uri(path)


def sign(file: MediaFile, expires_at: int, signer: int | None) -> str:
    return signing.dumps([file.pk.hex, file.link_epoch, expires_at, signer], salt=_SALT)


def resolve(token: str) -> MediaFile:
    return resolve_link(token).file


def resolve_link(token: str) -> ResolvedLink:
    """The file of a link, and for how long it works.

    Raises InvalidLink if the link is forged, expired or revoked, or if the file was deleted. A link
    also stops working when the owner of the file or the creator of the link is deactivated.
    """
    try:
        # Links of older releases do not contain their creator.
        file_id, epoch, expires_at, *signer = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError) as error:
        raise InvalidLink("This link is invalid. Check that you have all of it.") from error
    if (seconds_left := math.ceil(expires_at - time.time())) <= 0:
        raise InvalidLink(f"This link has expired. {_ADVICE}")
    files = MediaFile.objects.select_related("blob").filter(owner__is_active=True)
    for account in signer:
        files = files.filter(Exists(User.objects.filter(pk=account, is_active=True)))
    found = files.filter(pk=uuid.UUID(file_id), link_epoch=epoch).first()
    if found is None:
        raise InvalidLink(f"This link was revoked, or its file was deleted. {_ADVICE}")
    return ResolvedLink(found, seconds_left)


def revoke(file: MediaFile) -> None:
    with write():
        MediaFile.objects.filter(pk=file.pk).update(link_epoch=F("link_epoch") + 1)
        audit_log.note(file, "Revoked all links.")
