"""Why an attempt ends early: a Failure, which is shown to the owner, or an Interruption. And refusals of requests."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from uploads.errors import InvalidParams, Refusal


class Failure(Exception):
    """Why a job failed. `detail` tells its owner what is wrong and what to do about it.

    After a permanent failure there is no further attempt, as it would fail in the same way.
    """

    code: ClassVar[str] = "failed"
    permanent: ClassVar[bool] = True
    personal: ClassVar[bool] = False  # an identical job of another owner would not fail
    # Before the second attempt. Before each further one the pause is longer.
    pause: ClassVar[timedelta] = timedelta(seconds=1)

    def __init__(self, detail: str, *, log: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.log = log  # the last lines of the output of the tool that failed


class BadMedia(Failure):
    """The input is damaged, cut off, or not of the type that it claims."""

    code = "bad_media"


class UnfitMedia(Failure):
    """The input is valid, but not for this operation and its parameters: it has no audio to extract, for example."""

    code = "unfit_media"


class ToolFailed(Failure):
    """ffmpeg ended with an error that has no code of its own here."""

    code = "tool_failed"


class Stalled(Failure):
    """ffmpeg made no progress for MILLRACE_STALL_TIMEOUT seconds."""

    code = "stalled"


class TimedOut(Failure):
    code = "timed_out"


class ResourceLimit(Failure):
    """The sandbox stopped ffmpeg: it used too much CPU time or memory, or wrote too large a file."""

    code = "resource_limit"


class OutputInvalid(Failure):
    """An output is not what the operation promised. It is thrown away."""

    code = "output_invalid"


class QuotaReached(Failure):
    code = "quota_exceeded"
    personal = True


class UploadLost(Failure):
    """The upload that the job waited for failed, expired or was deleted."""

    code = "upload_failed"


class WorkerLost(Failure):
    """The worker ended or stopped renewing its lease."""

    code = "worker_lost"
    permanent = False


class Internal(Failure):
    """An error in Millrace itself. Another attempt may succeed."""

    code = "internal_error"
    permanent = False


class NoRoom(Failure):
    """The disk became full during the attempt. While it is full, no job is claimed (queue/scheduling.py)."""

    code = "insufficient_storage"
    permanent = False
    pause = timedelta(minutes=1)


class ContentLost(Failure):
    """The bytes of an input cannot be read at the moment."""

    code = "content_unavailable"
    permanent = False
    pause = timedelta(seconds=15)


class OperationUnavailable(Failure):
    """The operation of the job is a plug-in that this worker does not have, or that takes other parameters now."""

    code = "operation_unavailable"


class InferenceFailed(Failure):
    """The process that runs a model ended, or reported an error. Another attempt gets a new one."""

    code = "inference_failed"
    permanent = False


class Interruption(Exception):
    """The attempt must stop at once, for no fault of the job."""


class Cancelled(Interruption):
    """The job was cancelled."""


class LeaseLost(Interruption):
    """The job belongs to another worker, or has ended. Nothing that this attempt did for it counts."""


class Released(Interruption):
    """This worker is stopping. The job is queued again."""


class NoScratch(Interruption):
    """An input does not fit into the scratch space of this host now. The job is queued again."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class NotFinished(Refusal):
    """The request is allowed for finished jobs only."""

    code = "in_use"


class AlreadyFinished(Refusal):
    """The request is allowed for unfinished jobs only."""

    code = "already_finished"


class NotStreamable(Refusal):
    """The file cannot be played as HLS without being encoded. The detail says why."""

    code = "not_streamable"


class NoSuchFile(Refusal):
    """The request names a file that does not exist, or that the account may not use."""

    code = "not_found"


class NoSuchJob(Refusal):
    """The job was deleted during the request."""

    code = "not_found"


class NameTaken(Refusal):
    """Another preset of the same owner has this name."""

    code = "name_taken"


class PresetInvalid(Refusal):
    """The preset's operation does not exist any more, or does not accept its parameters any more."""

    code = "preset_invalid"


class UnknownPreset(InvalidParams):
    pass


class UnknownOperation(InvalidParams):
    pass


class ExtraMissing(InvalidParams):
    """The operation needs an extra that is not installed. The detail has the command that installs it."""

    code = "extra_missing"


class WrongParams(InvalidParams):
    """Parameters that the operation does not accept. `errors` has sentences for each of them."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        sentences = " ".join(message for messages in errors.values() for message in messages)
        super().__init__(sentences, errors={"params": errors})
        self.errors = errors
