"""Explain why a job failed, and what to do about it, by error code."""

from dataclasses import dataclass

from ..models import Job


@dataclass(frozen=True, slots=True)
class Advice:
    cause: str
    remedy: str


_RETRY = "Then retry the job."
_ADVICE = {
    "failed": Advice("The job failed.", "Read the log below. Then retry the job, or change its parameters."),
    "bad_media": Advice(
        "The file is damaged, incomplete, or of another type than it claims.",
        "Play the original. If it is damaged too, export it again. Then upload it again. A retry does not help.",
    ),
    "unfit_media": Advice(
        "The file is intact, but it does not suit this operation with these parameters.",
        "Run it again with other parameters, or choose another operation.",
    ),
    "tool_failed": Advice(
        "ffmpeg failed with an unknown error.",
        "The last lines of the log below tell more. Other parameters, such as another codec, often help.",
    ),
    "stalled": Advice(
        "The job made no progress for too long.",
        "Retry it when the machine is less busy. If it stops at the same position, the file is damaged there.",
    ),
    "timed_out": Advice(
        "The job took longer than allowed.",
        "Run the job again with less work: a part of the file, a smaller height, or a faster codec such as h264. "
        "An administrator can raise MILLRACE_JOB_TIMEOUT.",
    ),
    "resource_limit": Advice(
        "The job used more memory, CPU time or disk space than allowed.",
        "Run the job again with a smaller height, or with h264, which needs the least memory.",
    ),
    "output_invalid": Advice(
        "The output did not pass verification and was deleted.",
        "Retry it once. If it fails again, use other parameters: the file may have damaged parts.",
    ),
    "quota_exceeded": Advice(
        "The result exceeds the quota of the owner.",
        "Delete files of this owner, or ask an administrator to raise the quota. Then retry the job.",
    ),
    "upload_failed": Advice(
        "The upload of this job failed, expired or was cancelled.",
        "Upload the file again, and submit a new job.",
    ),
    "worker_lost": Advice(
        "The worker was lost at every attempt.",
        "The job probably needs more memory than the machine has. Use a smaller height, or a larger machine.",
    ),
    "internal_error": Advice(
        "An internal error of Millrace.",
        "Retry the job. If it fails again, send its ID and time to your administrator: the server's log tells more.",
    ),
    "operation_unavailable": Advice(
        "The worker does not have this operation, or has another version of it.",
        "Ask an administrator to install its package on every worker; `manage.py check` tells what is wrong. "
        f"{_RETRY}",
    ),
    "inference_failed": Advice(
        "The process that runs the model failed at every attempt.",
        "The log below tells more. If it happens with other files, too, ask an administrator to check the model.",
    ),
    "endpoint_unavailable": Advice(
        "The model server of this job was removed.", "Run the operation again, and choose another model server."
    ),
    "endpoint_untrusted": Advice(
        "Nothing was sent to the model server: its address is not allowed, its certificate is not valid, or its "
        "secret cannot be read.",
        f"Ask an administrator to look at it at “Model servers”. {_RETRY}",
    ),
    "endpoint_refused": Advice(
        "The model server refused the request.",
        "It may not take this kind of content, or not this much, or its secret header is wrong. Ask an "
        "administrator.",
    ),
    "endpoint_bad_answer": Advice(
        "The model server answered what cannot be kept: it must be JSON of at most 1 MB.",
        f"Ask an administrator to look at the log of the model server. {_RETRY}",
    ),
    "endpoint_down": Advice(
        "The model server did not answer, at every attempt.",
        f"Ask an administrator whether it runs, or whether its timeout is too short. {_RETRY}",
    ),
    "insufficient_storage": Advice(
        "The server's disk is full.", f"Delete unneeded files, or ask your administrator for more space. {_RETRY}"
    ),
    "content_unavailable": Advice(
        "The content of an input file cannot be read.",
        f"Ask an administrator to check that the storage is mounted, and to run `manage.py fsck`. {_RETRY}",
    ),
}  # fmt: skip


def advice(job: Job) -> Advice | None:
    """The advice for a failed job; None for others."""
    return _ADVICE.get(job.error_code, _ADVICE["failed"]) if job.error_code else None


def codes() -> set[str]:
    """The error codes that have advice."""
    return set(_ADVICE)
