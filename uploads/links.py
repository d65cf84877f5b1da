"""Signed links: they name a file, end by themselves, and are revoked all at once by counting its epoch up."""

import time
import uuid

from django.core import signing
from django.db.models import F

from .errors import InvalidLink
from .models import MediaFile

_SALT = "millrace.link"
LONGEST = 30 * 24 * 3600


def sign(file: MediaFile, expires_at: int) -> str:
    return signing.dumps([file.pk.hex, file.link_epoch, expires_at], salt=_SALT)


def resolve(token: str) -> MediaFile:
    """The file a link means, or InvalidLink: forged, expired, revoked, or its file is gone."""
    try:
        file_id, epoch, expires_at = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError) as error:
        raise InvalidLink("This link is not valid.") from error
    if time.time() >= expires_at:
        raise InvalidLink("This link has expired. Ask for a new one.")
    found = MediaFile.objects.select_related("blob").filter(pk=uuid.UUID(file_id), link_epoch=epoch).first()
    if found is None:
        raise InvalidLink("This link was revoked, or its file is gone.")
    return found


def revoke(file: MediaFile) -> None:
    MediaFile.objects.filter(pk=file.pk).update(link_epoch=F("link_epoch") + 1)
