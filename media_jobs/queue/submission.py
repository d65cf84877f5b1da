"""Submitting jobs: check the request, then insert the job.

Jobs are inserted here; batch_chores.py inserts many at a time, and children.py the children of a job that is split.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from uploads import audit_log
from uploads.access.permissions import Account
from uploads.errors import InvalidParams, Refusal
from uploads.models import MediaFile, Transition, Upload
from uploads.runtime.database_connections import write
from uploads.runtime.request_context import current_request_id
from uploads.storage.files import delete_file, keep_from_deletion
from uploads.text.client_metadata import Metadata
from uploads.transfers.admission import Announcement, admit
from uploads.transfers.reception import Reception

from .. import operations, permissions
from ..errors import Failure, NoSuchFile, UnfitMedia, UploadLost
from ..ffmpeg.probing.media_facts import stored_facts
from ..models import Job, JobInput, ModelEndpoint, Preset, Share
from ..operations.base import Described, Operation, Params, canonical
from . import artifacts, model_endpoints, presets, states
from .extras import require_available
from .job_texts import index_metadata
from .notify import wake
from .replays import replayed
from .single_flight import cache_key, find_identical, origin

INSPECT = "inspect"
_NO_FILE = "Give either `file` or `upload`."


@dataclass(frozen=True, slots=True)
class Order:
    """A request for a job. Its operation exists, and the operation's parameters are valid."""

    owner: User
    operation: Operation[Any]
    params: Params
    sent_params: Any  # as they were sent: they identify a repeated request
    file: MediaFile | None = None
    upload: Upload | None = None  # that is to become the file
    announced: tuple[str, int] | None = None  # name and size of the upload, before it exists
    inputs: Sequence[MediaFile] = ()
    priority: int = 0
    key: str = ""  # Idempotency-Key
    automatic: bool = False
    on_arrival: bool = False
    preset: Preset | None = None  # that the operation and its parameters are from
    metadata: Metadata | None = None  # of the client's own, for the job
    endpoint: ModelEndpoint | None = None  # the model server that the parameters choose

    @classmethod
    def parse(cls, owner: User, operation: str, params: Any = None, **more: Any) -> "Order":
        """The only place where the parameters of a submission are parsed. InvalidParams says what is wrong."""
        found, sent = operations.get(operation), {} if params is None else params
        return cls._possible(owner, found, operations.parse(found, sent), sent, **more)

    @classmethod
    def of_preset(cls, owner: User, preset: Preset, **more: Any) -> "Order":
        """The same with the operation and the parameters of a preset. PresetInvalid: they do not fit any more."""
        params, found = presets.parsed(preset), operations.get(preset.operation)
        return cls._possible(owner, found, params, preset.params, preset=preset, **more)

    @classmethod
    def _possible(cls, owner: User, operation: Operation[Any], params: Params, sent: Any, **more: Any) -> "Order":
        """ExtraMissing, EndpointUnavailable: what the operation needs is not here."""
        return cls(owner, operation, params, sent, endpoint=require_available(operation, params), **more)

    @property
    def lane(self) -> str:
        return self.operation.lane_of(self.params)

    @property
    def named_files(self) -> list[UUID]:
        """The files that the parameters name."""
        return list(dict.fromkeys(self.operation.file_ids(self.params)))

    def on(self, file: MediaFile | None, inputs: Sequence[MediaFile], named: Sequence[MediaFile] = ()) -> "Order":
        """The order on these files. In its parameters, numbers replace the ids: equal content has equal results."""
        every: list[MediaFile] = list(inputs)
        numbers: dict[int | UUID, int | UUID] = {file.pk: 0} if file else {}
        for number, each in enumerate(every, 1):
            numbers.setdefault(each.pk, number)
        for each in named:
            if each.pk not in numbers:
                every.append(each)
                numbers[each.pk] = len(every)
        return replace(self, file=file, inputs=every, params=self.operation.with_files(self.params, numbers))

    def fingerprint(self) -> str:
        files = [str(file.pk) for file in (self.file, *self.inputs) if file is not None]
        # A preset may be changed before the request is repeated: it is still the same request.
        what = [self.operation.name, self.sent_params] if self.preset is None else [str(self.preset.pk)]
        parts = [*what, files, self.priority, self.announced, *([self.metadata] if self.metadata else [])]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def parse_request(user: Account, data: Mapping[str, Any], key: str = "", *, comes_later: bool = False) -> Order:
    """The order in the validated data of a request: `preset`, or else `operation` and `params`; `priority`, `inputs`,
    and maybe `file`.

    Wrong parameters are refused before any file is looked up. `comes_later`: the main file is not here yet.
    """
    owner = permissions.require_submit(user, data["priority"])
    more = {"priority": data["priority"], "key": key, "metadata": data.get("metadata")}
    if name := data.get("preset"):
        order = Order.of_preset(owner, presets.find(user, name), **more)
    else:
        order = Order.parse(owner, data["operation"], data.get("params"), **more)
    named = order.named_files
    main = [data["file"]] if data.get("file") else [] if comes_later else named[:1]
    if not main and not comes_later:
        raise InvalidParams(_NO_FILE, errors={"file": [_NO_FILE]})
    files = _usable_files(user, [*main, *data["inputs"], *named])
    rest = files[len(main) :]
    return order.on(files[0] if main else None, rest[: len(data["inputs"])], rest[len(data["inputs"]) :])


def on_file(order: Order, file: MediaFile) -> Order:
    """The order on this file, with the files that its parameters name, which the owner must be able to use."""
    return order.on(file, (), _usable_files(order.owner, order.named_files))


def _usable_files(user: Account, ids: Sequence[UUID]) -> list[MediaFile]:
    found = permissions.usable_files(user).in_bulk(ids)
    for pk in ids:
        if pk not in found:
            raise NoSuchFile(f"The file {pk} does not exist, or you may not use it.")
    return [found[pk] for pk in ids]


def submit(order: Order) -> tuple[Job, bool]:
    """Returns the job, and whether it is new: a repeated Idempotency-Key returns the job of the first request."""
    operation, file = order.operation, order.file
    if len(order.inputs) > operation.max_inputs:
        raise InvalidParams(f"“{operation.name}” takes {operation.max_inputs or 'no'} further inputs.")
    if file is not None:
        _require_kind(operation, file.name, file.blob.kind)
        files = [described(each) for each in (file, *order.inputs)]
        try:
            operation.check(order.params, file.blob.kind, files[0].facts)
            operation.check_files(order.params, files)
            model_endpoints.require_fitting(order.endpoint, file.blob.kind, files[0].facts)
        except Failure as failure:
            raise InvalidParams(failure.detail) from failure
    return _insert(order)


def described(file: MediaFile) -> Described:
    return Described(file.name, file.blob.kind, stored_facts(file.facts))


def _require_kind(operation: Operation[Any], name: str, kind: str) -> None:
    if kind not in operation.kinds:
        raise InvalidParams(_wrong_kind(operation, name, kind))


def _wrong_kind(operation: Operation[Any], name: str, kind: str) -> str:
    return f"“{operation.name}” works on {' or '.join(sorted(operation.kinds))}, but {name} is {kind or 'not media'}."


def submit_with_upload(order: Order, announcement: Announcement) -> tuple[Job, bool]:
    """Submit a job together with the resumable upload that its file will come from. Both are created, or neither."""
    assert announcement.size is not None
    order = replace(order, announced=(announcement.name, announcement.size))
    with write():
        _keep_files(order)
        # Before the upload is created: a repeated request must not be refused for space that it has reserved itself.
        if order.key and (before := _replayed(order)):
            return before, False
        return submit(replace(order, upload=admit(announcement)))


def submit_received(order: Order, reception: Reception) -> tuple[Job, bool]:
    """Submit a job on a file that was received in the same request. If the job is refused, the file is deleted."""
    assert reception.content is not None
    _require_kind(order.operation, reception.upload.name, reception.content.kind)
    file = reception.commit()
    try:
        return submit(replace(order, file=file))
    except Refusal:
        delete_file(file)
        raise


@states.in_retried_transaction
def _insert(order: Order) -> tuple[Job, bool]:
    """Write the job: answered by an earlier result, as a follower of an identical job, or as one to be claimed."""
    _keep_files(order)
    if order.key and (before := _replayed(order)):
        return before, False
    job, result = new_job(order), None
    if order.file is None:
        job.status = Job.Status.UPLOADING
    else:
        job.leader, result = find_identical(job)
    job.save(force_insert=True)
    JobInput.objects.bulk_create(JobInput(job=job, number=i, file=file) for i, file in enumerate(order.inputs))
    Transition.record("job", job.pk, job.status)
    index_metadata(job)
    if result is not None:
        artifacts.answer(job, result, f"answered with the result of {origin(job, result.job)}")
    elif job.status == Job.Status.QUEUED and job.leader is None:
        transaction.on_commit(lambda: wake(job.lane))
    Share.ensure(job.lane, job.owner_id)
    if not order.automatic:  # an automatic job has no request that the row could answer
        job.refresh_from_db()
        audit_log.note(job, "Submitted.", audit_log.ADDITION)
    return job, True


def new_job(order: Order) -> Job:
    """The row of this order, which is not written yet: queued, if the order has its file."""
    operation = order.operation
    job = Job(
        owner=order.owner, operation=operation.name, version=operation.version, params=canonical(order.params),
        lane=order.lane, priority=order.priority, file=order.file, upload=order.upload, automatic=order.automatic,
        on_arrival=order.on_arrival, preset=order.preset.name if order.preset else "", metadata=order.metadata,
        endpoint=order.endpoint,
        idempotency_key=order.key, fingerprint=order.fingerprint() if order.key else "",
        request_id=current_request_id(),
    )  # fmt: skip
    if order.file is not None:
        files = [order.file, *order.inputs]
        job.cache_key, job.queued_at, job.input_bytes = cache_key(job, files), Now(), sum(each.size for each in files)
    return job


def _keep_files(order: Order) -> None:
    """Lock the files against deletion until the job exists, which keeps them from then on.

    Call it before any other lock is taken: jobs that end lock their file's Blob first, too.
    """
    if order.automatic:
        return  # this transaction made the file and holds its Blob's lock, so it cannot be deleted
    files = [file for file in (order.file, *order.inputs) if file is not None]
    here = keep_from_deletion(files) if files else set()
    for file in files:
        if file.pk not in here:
            raise NoSuchFile(f"The file {file.pk} has been deleted.")


def _replayed(order: Order) -> Job | None:
    return replayed(Job, order.owner, order.key, order.fingerprint())


def inspect_new(file: MediaFile) -> None:
    """hooks.file_stored: submit the automatic inspection of each uploaded file."""
    if file.origin != MediaFile.Origin.JOB and file.blob.kind in operations.get(INSPECT).kinds:
        submit(Order.parse(file.owner, INSPECT, file=file, automatic=True))


def begin_uploaded(upload: Upload, file: MediaFile | None) -> None:
    """hooks.upload_ended: queue the jobs that waited for the upload, or fail them."""
    if not upload.is_resumable:
        return  # only a resumable upload can have jobs that wait for it
    for job in Job.objects.filter(upload=upload, status=Job.Status.UPLOADING):
        operation = operations.registry.get(job.operation)
        if file is None:
            reason = f"The upload of {upload.name} failed, expired or was deleted. Submit the job again."
            states.mark_failed(states.waiting(job), job, UploadLost(reason))
        elif operation is not None and file.blob.kind not in operation.kinds:
            unfit = UnfitMedia(_wrong_kind(operation, file.name, file.blob.kind))
            states.mark_failed(states.waiting(job), job, unfit)
        else:
            _begin(job, file)


def _begin(job: Job, file: MediaFile) -> None:
    """Do what `_insert` does for a job whose file exists at once."""
    inputs = [item.file for item in job.inputs.select_related("file__blob").order_by("number") if item.file]
    job.file, job.cache_key = file, cache_key(job, [file, *inputs])
    index_metadata(job)
    leader, result = find_identical(job)
    size = sum(each.size for each in (file, *inputs))
    begun = {"file": file, "cache_key": job.cache_key, "queued_at": Now(), "input_bytes": size}
    if result is not None:
        artifacts.answer(job, result, "its upload is complete", **begun)
    else:
        states.mark_queued(states.waiting(job), job, "its upload is complete", leader=leader, message="", **begun)
        transaction.on_commit(lambda: wake(job.lane))
