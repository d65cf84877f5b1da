"""Why work ends before its end: a Failure is its own fault and is told to people, an Interruption is not."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from uploads.errors import InvalidParams, Refusal


class Failure(Exception):
    """Why a job failed, in words its owner understands: what is wrong, and what to do about it.

    A permanent one would come again with the next attempt, so there is none.
    """

    code: ClassVar[str] = "failed"
    permanent: ClassVar[bool] = True
    personal: ClassVar[bool] = False  # the same work for another owner would not fail so
    # Before the second attempt, where there is one. Before each further one it is longer.
    pause: ClassVar[timedelta] = timedelta(seconds=1)

    def __init__(self, detail: str, *, log: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.log = log  # the last lines of the tool that failed, for whoever looks closer


class BadMedia(Failure):
    """The input is damaged, cut off, or not what it says it is."""

    code = "bad_media"


class UnfitMedia(Failure):
    """The input is sound, and this operation cannot do with it what was asked: there is no sound to extract."""

    code = "unfit_media"


class ToolFailed(Failure):
    """ffmpeg ended with an error that we have no better words for."""

    code = "tool_failed"


class Stalled(Failure):
    """No progress for as long as MILLRACE_STALL_TIMEOUT allows."""

    code = "stalled"


class TimedOut(Failure):
    code = "timed_out"


class ResourceLimit(Failure):
    """The sandbox stopped it: processor time, memory, or the size of a file."""

    code = "resource_limit"


class OutputInvalid(Failure):
    """What was made is not what was asked for. It is thrown away."""

    code = "output_invalid"


class QuotaReached(Failure):
    code = "quota_exceeded"
    personal = True


class UploadLost(Failure):
    """The upload that the job waited for failed, expired or was taken back."""

    code = "upload_failed"


class WorkerLost(Failure):
    """Written when the attempts are used up: each of them ended with its worker."""

    code = "worker_lost"
    permanent = False


class Internal(Failure):
    """A mistake of ours. Another attempt may do better."""

    code = "internal_error"
    permanent = False


class NoRoom(Failure):
    """The disk became full while it ran. Where it is full before, no job is begun (leases.lacking)."""

    code = "insufficient_storage"
    permanent = False
    pause = timedelta(minutes=1)


class ContentLost(Failure):
    """The input's bytes cannot be read just now."""

    code = "content_unavailable"
    permanent = False
    pause = timedelta(seconds=15)


class Interruption(Exception):
    """Work must stop at once, and nothing is the matter with it."""


class Cancelled(Interruption):
    """Somebody asked for it."""


class LeaseLost(Interruption):
    """The job is not ours any more: whatever we did for it counts for nothing."""


class Released(Interruption):
    """This worker is to stop; the job goes back to its lane."""


class NotFinished(Refusal):
    """For what only a finished job allows."""

    code = "in_use"


class AlreadyFinished(Refusal):
    """For what only an unfinished job allows."""

    code = "already_finished"


class NoSuchFile(Refusal):
    """A request names a file that is not there, or is none of its sender's business."""

    code = "not_found"


class NoSuchJob(Refusal):
    """The job was deleted while somebody was about to do something to it."""

    code = "not_found"


class UnknownOperation(InvalidParams):
    pass


class WrongParams(InvalidParams):
    """Parameters that their operation cannot use. `errors` says of each what is wrong with it, in sentences."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        sentences = " ".join(message for messages in errors.values() for message in messages)
        super().__init__(sentences, errors={"params": errors})
        self.errors = errors
