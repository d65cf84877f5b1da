"""What media_jobs must be told. config/ reads the environment and sets a JobSettings as `settings.JOBS`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from .ffmpeg.sandbox import Level


@dataclass(frozen=True, slots=True)
class JobSettings:
    work_root: Path  # private folders of attempts; best on the disk where files are kept
    lease: float = 30.0  # seconds that a worker may be silent
    attempts: int = 3  # that may end with their worker
    timeout: float = 24 * 3600.0
    stall_timeout: float = 120.0
    ffmpeg: str = "wheel"  # or a path
    sandbox: Level = "on"
    threads: int = 1  # that one run of ffmpeg may use
    kept: float | None = 90 * 86400.0  # seconds after its end that a job is forgotten; its files stay
    share_results: bool = False  # one owner's finished result answers another's same request, too

    @property
    def lease_time(self) -> timedelta:
        return timedelta(seconds=self.lease)


def jobs() -> JobSettings:
    found: JobSettings = settings.JOBS
    return found
