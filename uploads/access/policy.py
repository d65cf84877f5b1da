"""Who may see and do what. The API and the admin both ask here, and nowhere else.

A plain account sees and steers what it owns. A staff account acts by its permissions, given through the groups
Viewer, Operator and Administrator.
"""

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import QuerySet

from ..errors import Forbidden, Unauthenticated
from ..hooks import owners_rights
from ..models import MediaFile, Upload

Account = User | AnonymousUser

_VIEW = ("view_mediafile", "view_upload", "view_blob", "view_transition")
_OPERATE = (*_VIEW, "add_mediafile", "change_mediafile", "delete_mediafile", "delete_upload")
GROUPS: dict[str, tuple[str, ...] | None] = {"Viewer": _VIEW, "Operator": _OPERATE, "Administrator": None}


def visible_files(user: Account) -> QuerySet[MediaFile]:
    files = MediaFile.objects.select_related("blob", "owner")
    return files if _is_permitted(user, "view_mediafile") else files.filter(owner_id=user.pk)


def visible_uploads(user: Account) -> QuerySet[Upload]:
    uploads = Upload.objects.select_related("file")
    return uploads if _is_permitted(user, "view_upload") else uploads.filter(owner_id=user.pk)


def _is_permitted(user: Account, codename: str) -> bool:
    # Staff alone act by permissions: for the others, who are most, nothing has to be looked up.
    return user.is_staff and user.has_perm(f"uploads.{codename}")


def may_upload(user: Account) -> bool:
    return user.is_active and (not user.is_staff or _is_permitted(user, "add_mediafile"))


def require_upload(user: Account) -> User:
    """The account that may send a file, or a Refusal."""
    if not isinstance(user, User) or not user.is_active:
        raise Unauthenticated("Send a token (Authorization: Bearer …) or sign in.")
    if not may_upload(user):
        raise Forbidden("Your account may look, but not send files.")
    return user


def require_sender(user: Account, upload: Upload) -> None:
    """An upload is gone on with by whoever began it, and by nobody else."""
    if require_upload(user).pk != upload.owner_id:
        raise Forbidden("Only its owner may go on with this upload.")


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


def may_give_token(giver: Account, account: User) -> bool:
    """Whether staff may make a token of this account. It acts with all that the account may do, so never for more
    than they may do themselves.
    """
    if giver.is_superuser or giver.pk == account.pk:
        return True
    return not account.is_superuser and _rights_of(account) <= giver.get_all_permissions()


def _rights_of(account: User) -> set[str]:
    if account.is_staff:
        return account.get_all_permissions()
    return {f"uploads.{codename}" for codename in _OPERATE} | owners_rights


def make_groups(**_: object) -> None:
    """After migrate: the three groups, with at least these permissions. What people added stays."""
    for name, codenames in GROUPS.items():
        group, _created = Group.objects.get_or_create(name=name)
        if codenames is None:
            permissions = Permission.objects.filter(content_type__app_label__in=["uploads", "auth", "admin"])
        else:
            permissions = Permission.objects.filter(content_type__app_label="uploads", codename__in=codenames)
        group.permissions.add(*permissions)
