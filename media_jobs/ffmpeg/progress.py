"""How far a run of ffmpeg has come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """What people see of work that goes on. None is: not known."""

    message: str
    progress: float | None = None  # from 0 to below 1
    speed: float | None = None  # seconds of media a second
    eta_seconds: float | None = None
