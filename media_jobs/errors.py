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
    pause: timedelta = timedelta(seconds=1)
    attempts: int | None = None  # how many a job has that fails in this way; None: MILLRACE_ATTEMPTS

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


class EndpointRemoved(Failure):
    """The model server of the job is not configured any more."""

    code = "endpoint_unavailable"


class EndpointUntrusted(Failure):
    """Nothing is sent to this model server: its address is not allowed, or its certificate is not valid."""

    code = "endpoint_untrusted"


class EndpointRefused(Failure):
    """The model server answered that the request is wrong. It would say the same again."""

    code = "endpoint_refused"


class EndpointBadAnswer(Failure):
    """The model server answered what is no answer: a redirect, no JSON, or too much."""

    code = "endpoint_bad_answer"


class EndpointDown(Failure):
    """The model server does not answer, or has too much to do: this may pass.

    `reason` completes the sentence "The model server …". `wait`: for how long it asked to be left alone.
    """

    code = "endpoint_down"
    permanent = False

    def __init__(
        self, server: str, reason: str, *, wait: timedelta | None = None, has_answered: bool = False
    ) -> None:
        super().__init__(f"The model server “{server}” {reason}.")
        self.reason, self.wait, self.has_answered = reason, wait, has_answered
        if wait is not None:
            self.pause = max(wait, self.pause)


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


class EndpointBusy(Interruption):
    """The model server takes no request now. The job is queued again, and waits for it."""

    def __init__(self, message: str, pause: timedelta) -> None:
        super().__init__(message)
        self.message, self.pause = message, pause


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


class EndpointUnavailable(InvalidParams):
    """The request names a model server that does not exist, or that is switched off."""

    code = "endpoint_unavailable"


class WrongParams(InvalidParams):
    """Parameters that the operation does not accept. `errors` has sentences for each of them."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        sentences = " ".join(message for messages in errors.values() for message in messages)
        super().__init__(sentences, errors={"params": errors})
        self.errors = errors
