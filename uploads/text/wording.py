"""Figures in the words people read: "100.0 MB", "7 s"."""

from ..models import Upload


def human_size(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def exact_size(size: int) -> str:
    return f"{size} bytes" if size < 1000 else f"{human_size(size)} ({size:,} bytes)"


def human_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def progress_of(upload: Upload) -> float | None:
    """From 0 to 1, or None while nobody knows how much will come. 1 means complete, and nothing else does."""
    if upload.state == Upload.State.COMPLETE:
        return 1.0
    if not upload.declared_size:
        return None
    return min(round(upload.offset / upload.declared_size, 4), 0.9999)


def eta_of(upload: Upload) -> int | None:
    if upload.state != Upload.State.RECEIVING or not upload.declared_size or upload.speed <= 0:
        return None
    return max(0, upload.declared_size - upload.offset) // upload.speed


def message_of(upload: Upload) -> str:
    size = human_size(upload.offset)
    if upload.state == Upload.State.COMPLETE:
        return f"Complete: {size}"
    if upload.state == Upload.State.FAILED:
        return upload.error_detail
    progress, eta = progress_of(upload), eta_of(upload)
    done = "" if progress is None else f" ({100 * progress:.0f} %)"
    if upload.is_resumable and upload.speed == 0:
        return f"Waiting to go on: {size}{done}"
    left = "" if eta is None else f", {human_time(eta)} left"
    return f"Uploading: {size}{done} at {human_size(upload.speed)}/s{left}"
