"""Why jobs fail, in plain words, and what whoever looks at one may do about it."""

from dataclasses import dataclass

from ..models import Job


@dataclass(frozen=True, slots=True)
class Advice:
    cause: str
    remedy: str


_RETRY = "Retry it once that is mended."
_ADVICE = {
    "failed": Advice("The job could not be done.", "Read its log, below, then retry it or run it with changes."),
    "bad_media": Advice(
        "The file is damaged, cut off, or not what it says it is.",
        "Play the original: if it is broken there, too, export it anew. Then upload it again. A retry will not help.",
    ),
    "unfit_media": Advice(
        "The file is sound, but this operation cannot do with it what was asked.",
        "Run it again with changes that suit the file, or choose another operation.",
    ),
    "tool_failed": Advice(
        "ffmpeg ended with an error that has no better name.",
        "The last lines of its log, below, say more. Other settings, such as another codec, often get past it.",
    ),
    "stalled": Advice(
        "The work came no further for too long.",
        "Retry it when the machine is less busy. If it stalls again at the same place, the file is damaged there.",
    ),
    "timed_out": Advice(
        "The work took longer than a job may.",
        "Run it again with less to do: a part of the file, a smaller height, or a faster codec such as h264. "
        "An administrator can raise MILLRACE_JOB_TIMEOUT.",
    ),
    "resource_limit": Advice(
        "The sandbox stopped it: it needed more memory, processor time or disk than one job may have.",
        "Run it again with a smaller height, or with h264, which needs the least memory.",
    ),
    "output_invalid": Advice(
        "What was made is not what was asked for, so it was thrown away.",
        "Retry it once. If that ends the same, run it with other settings: the file may have damaged parts.",
    ),
    "quota_exceeded": Advice(
        "The result does not fit into what is left of its owner's quota.",
        "Delete files of this owner that nobody needs, or have the quota raised. Then retry.",
    ),
    "upload_failed": Advice(
        "The upload that this job waited for failed, expired or was taken back.",
        "Upload the file again, and submit the job with it.",
    ),
    "worker_lost": Advice(
        "Every worker that ran it died while doing so.",
        "It most likely needs more memory than there is. Run it with a smaller height, or on a larger machine.",
    ),
    "internal_error": Advice(
        "Something went wrong on Millrace's side.",
        "Retry it. If it fails again, give the job's id and time to your administrator: the server's log has more.",
    ),
    "insufficient_storage": Advice(
        "The server's disk is full.", f"Delete what is not needed, or ask your administrator for room. {_RETRY}"
    ),
    "content_unavailable": Advice(
        "The bytes of a file that it needs cannot be read just now.",
        f"Have an administrator look whether the storage is mounted, and run `manage.py fsck`. {_RETRY}",
    ),
}  # fmt: skip


def advice(job: Job) -> Advice | None:
    """None for a job that has not failed."""
    return _ADVICE.get(job.error_code, _ADVICE["failed"]) if job.error_code else None


def codes() -> set[str]:
    """Those that there is advice for."""
    return set(_ADVICE)
