"""Permissions on files and uploads, for the API and the admin.

An ordinary account may see and change what it owns. A staff account needs permissions, which the groups Viewer,
Operator and Administrator give.
"""

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import Q, QuerySet

from ..errors import Forbidden, Unauthenticated
from ..hooks import owners_rights, text_sources
from ..models import MediaFile, SearchText, Upload

Account = User | AnonymousUser

_VIEW = ("view_mediafile", "view_upload", "view_blob", "view_transition")
_OPERATE = (*_VIEW, "add_mediafile", "change_mediafile", "delete_mediafile", "delete_upload")
GROUPS: dict[str, tuple[str, ...] | None] = {"Viewer": _VIEW, "Operator": _OPERATE, "Administrator": None}


def visible_files(user: Account) -> QuerySet[MediaFile]:
    files = MediaFile.objects.select_related("blob", "owner")
    return files if _is_permitted(user, "view_mediafile") else files.filter(owner_id=user.pk)


def visible_texts(user: Account) -> QuerySet[SearchText]:
    """Texts that find files which the account may see, and are about nothing that it may not see."""
    texts = SearchText.objects.select_related("file__blob", "file__owner").defer("words")
    for source in text_sources:
        if (visible := source.visible(user)) is not None:
            texts = texts.filter(~Q(source=source.name) | visible)
    return texts if _is_permitted(user, "view_mediafile") else texts.filter(file__owner_id=user.pk)


def visible_uploads(user: Account) -> QuerySet[Upload]:
    uploads = Upload.objects.select_related("file", "direct")
    return uploads if _is_permitted(user, "view_upload") else uploads.filter(owner_id=user.pk)


def _is_permitted(user: Account, codename: str) -> bool:
    # Only staff have permissions. Most accounts are not staff, and need no query here.
    return user.is_staff and user.has_perm(f"uploads.{codename}")


def may_upload(user: Account) -> bool:
    return user.is_active and (not user.is_staff or _is_permitted(user, "add_mediafile"))


def require_upload(user: Account) -> User:
    """The account, if it may upload files; else a Refusal."""
    if not isinstance(user, User) or not user.is_active:
        raise Unauthenticated("Send a token (Authorization: Bearer …) or sign in.")
    if not may_upload(user):
        raise Forbidden("Your account may view files, but not upload them.")
    return user


def require_continue(user: Account, upload: Upload) -> None:
    """Only the owner of an upload may continue it."""
    if require_upload(user).pk != upload.owner_id:
        raise Forbidden("Only the owner of this upload may continue it.")


def may_end(user: Account, upload: Upload) -> bool:
    return _is_permitted(user, "delete_upload") or upload.owner_id == user.pk


def require_end(user: Account, upload: Upload) -> None:
    if not may_end(user, upload):
        raise Forbidden("Your account may not end this upload.")


def may(user: Account, verb: str, file: MediaFile) -> bool:
    """Whether `user` may `change` or `delete` this file."""
    if _is_permitted(user, f"{verb}_mediafile"):
        return True
    return not user.is_staff and file.owner_id == user.pk


def require(user: Account, verb: str, file: MediaFile) -> None:
    if not may(user, verb, file):
        raise Forbidden(f"Your account may not {verb} this file.")


def may_give_token(staff: Account, account: User) -> bool:
    """Whether `staff` may create a token of this account: only if the account has no permission that they lack."""
    if staff.is_superuser or staff.pk == account.pk:
        return True
    return not account.is_superuser and _rights_of(account) <= staff.get_all_permissions()


def _rights_of(account: User) -> set[str]:
    if account.is_staff:
        return account.get_all_permissions()
    return {f"uploads.{codename}" for codename in _OPERATE} | owners_rights


def make_groups(**_: object) -> None:
    """Create the three groups after migrate, with at least these permissions. Further permissions stay."""
    for name, codenames in GROUPS.items():
        group, _created = Group.objects.get_or_create(name=name)
        if codenames is None:
            permissions = Permission.objects.filter(content_type__app_label__in=["uploads", "auth", "admin"])
        else:
            permissions = Permission.objects.filter(content_type__app_label="uploads", codename__in=codenames)
        group.permissions.add(*permissions)
