"""What somebody asks for, as an Order: whether they may, and which files they mean."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from uploads.access.policy import Account
from uploads.http.tus_headers import join_metadata
from uploads.models import MediaFile, Upload
from uploads.transfers.admission import Announcement, lifetime

from .. import operations, policy
from ..errors import NoSuchFile
from ..models import Job
from .submission import Order, submit, submit_with_upload

ROUTE = "jobs"


def order(user: Account, said: Mapping[str, Any], key: str = "") -> Order:
    """`said` is a JobOrder's. An operation and parameters that are wrong are refused before any file is looked at."""
    owner = policy.require_submit(user, said["priority"])
    operations.parse(operations.get(said["operation"]), said["params"])
    ids = [said["file"]] if said.get("file") else []
    files = _usable(user, [*ids, *said["inputs"]])
    return Order(
        owner, said["operation"], said["params"], file=files[0] if ids else None, inputs=files[len(ids) :],
        priority=said["priority"], key=key,
    )  # fmt: skip


def place(order: Order, upload: Mapping[str, Any] | None, token: UUID | None = None) -> tuple[Job, bool]:
    """The job of an order, on a file that is here or on an upload that is still to be sent."""
    if upload is None:
        return submit(order)
    announcement = Announcement(
        owner=order.owner, token=token, name=upload["name"], protocol=Upload.Protocol.TUS, size=upload["size"],
        length=upload["size"], route=ROUTE, lifetime=lifetime(0),
        metadata=join_metadata({"filename": upload["name"]} | upload["metadata"]),
    )  # fmt: skip
    return submit_with_upload(order, announcement)


def _usable(user: Account, ids: Sequence[UUID]) -> list[MediaFile]:
    found = policy.usable_files(user).in_bulk(ids)
    for pk in ids:
        if pk not in found:
            raise NoSuchFile(f"There is no file {pk}, or none that you may use.")
    return [found[pk] for pk in ids]
