"""The progress of an upload as numbers, and as text for people."""

from ..models import Upload
from ..text.sizes import human_size
from ..text.times import human_time


def upload_progress(upload: Upload) -> float | None:
    """From 0 to 1; None while the size is unknown. It is 1 only for a complete upload."""
    if upload.state == Upload.State.COMPLETE:
        return 1.0
    if not upload.declared_size:
        return None
    return min(round(upload.offset / upload.declared_size, 4), 0.9999)


def upload_eta(upload: Upload) -> int | None:
    """Seconds left at the current speed; None if unknown."""
    if upload.state != Upload.State.RECEIVING or not upload.declared_size or upload.speed <= 0:
        return None
    return max(0, upload.declared_size - upload.offset) // upload.speed


def upload_message(upload: Upload) -> str:
    size = human_size(upload.offset)
    if upload.state == Upload.State.COMPLETE:
        return f"Complete: {size}"
    if upload.state == Upload.State.FAILED:
        return upload.error_detail
    progress, eta = upload_progress(upload), upload_eta(upload)
    done = "" if progress is None else f" ({100 * progress:.0f} %)"
    if upload.is_resumable and upload.speed == 0:
        return f"Paused: {size}{done}"
    left = "" if eta is None else f", {human_time(eta)} left"
    return f"Uploading: {size}{done} at {human_size(upload.speed)}/s{left}"
