"""The progress of an upload as numbers, and as text for people."""

from ..models import DirectUpload, Upload
from ..text.sizes import human_size
from ..text.times import human_time


def upload_progress(upload: Upload) -> float | None:
    """From 0 to 1; None while the size is unknown. It is 1 only for a complete upload."""
    if upload.state == Upload.State.COMPLETE:
        return 1.0
    if not upload.declared_size:
        return None
    check = _check_of(upload)
    done = upload.offset if check is None else check.checked
    return min(round(done / upload.declared_size, 4), 0.9999)


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
    if upload.is_direct:
        return _direct_message(upload, f"{size}{done}")
    if upload.is_resumable and upload.speed == 0:
        return f"Paused: {size}{done}"
    left = "" if eta is None else f", {human_time(eta)} left"
    return f"Uploading: {size}{done} at {human_size(upload.speed)}/s{left}"


def _direct_message(upload: Upload, sent: str) -> str:
    check = _check_of(upload)
    if check is None:
        return f"Sent to the store: {sent}"
    if check.token is None:
        return f"Waiting to be checked: {human_size(upload.offset)}"
    return f"Checking: {100 * (upload_progress(upload) or 0):.0f} % of {human_size(upload.offset)}"


def _check_of(upload: Upload) -> DirectUpload | None:
    """The row of a direct upload whose bytes are all in the store: a worker checks them."""
    found: DirectUpload | None = getattr(upload, "direct", None) if upload.is_direct else None
    return found if found is not None and found.sent_at is not None else None
