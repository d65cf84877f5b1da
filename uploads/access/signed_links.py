"""Signed links: they name a file, end by themselves, and are revoked all at once by counting its epoch up."""

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
USUAL = 24 * 3600
LONGEST = 30 * USUAL


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    expires_at: datetime


def make(file: MediaFile, seconds: int, request: HttpRequest) -> Link:
    """A link that works for so long, at the public address, or else that by which this request came."""
    expires_at = int(time.time()) + seconds
    path = reverse("link-content", args=[sign(file, expires_at, request.user.pk), file.name])
    url = f"{limits().public_url}{path}" if limits().public_url else request.build_absolute_uri(path)
    ends = datetime.fromtimestamp(expires_at, UTC)
    audit_log.note(file, f"Made a link that works until {ends:%Y-%m-%d %H:%M} UTC.")
    return Link(url, ends)


def sign(file: MediaFile, expires_at: int, signer: int | None) -> str:
    return signing.dumps([file.pk.hex, file.link_epoch, expires_at, signer], salt=_SALT)


def resolve(token: str) -> MediaFile:
    """The file a link means, or InvalidLink: forged, expired, revoked, or its file is gone.

    It also ends with the accounts that answer for it: when the file's owner, or who made the link, is deactivated.
    """
    try:
        # Links of older releases do not say who made them.
        file_id, epoch, expires_at, *signer = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError) as error:
        raise InvalidLink("This link is not valid.") from error
    if time.time() >= expires_at:
        raise InvalidLink("This link has expired. Ask for a new one.")
    files = MediaFile.objects.select_related("blob").filter(owner__is_active=True)
    for account in signer:
        files = files.filter(Exists(User.objects.filter(pk=account, is_active=True)))
    found = files.filter(pk=uuid.UUID(file_id), link_epoch=epoch).first()
    if found is None:
        raise InvalidLink("This link was revoked, or its file is gone.")
    return found


def revoke(file: MediaFile) -> None:
    with write():
        MediaFile.objects.filter(pk=file.pk).update(link_epoch=F("link_epoch") + 1)
        audit_log.note(file, "Revoked every link.")
