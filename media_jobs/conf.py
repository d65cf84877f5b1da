"""The settings of media_jobs. config/ reads them from the environment, as a JobSettings in `settings.JOBS`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from .ffmpeg.sandbox import Level
from .understanding.extras import SPEECH, VISION


@dataclass(frozen=True, slots=True)
class JobSettings:
    work_root: Path  # for the private folders of attempts; on the disk of the store, outputs need not be copied
    scratch_size: int | None = None  # bytes that these inputs may take; None: half of the free disk
    lease: float = 30.0  # seconds after which a lease expires that is not renewed
    attempts: int = 3  # how many attempts a job has
    timeout: float = 24 * 3600.0
    stall_timeout: float = 120.0
    ffmpeg: str = "wheel"  # or the path of an ffmpeg
    sandbox: Level = "on"
    threads: int = 1  # for one run of ffmpeg
    kept: float | None = 90 * 86400.0  # seconds after its end until a job is deleted; its files stay
    # Seconds of media: the encode of a longer file is split into parts while several workers live.
    split_after: float = 120.0
    # Seconds for which parts of a render are kept for a later one, and the bytes that they may take.
    parts_kept: float = 86400.0
    parts_size: int = 10 * 1000**3
    whisper_model: str = ""  # a folder or the name of an extra's weights; "": the best of these
    detector_models: str = ""  # a folder with the operator's ONNX models for `detect`; "": there are none
    share_results: bool = False  # a result of one owner also answers identical jobs of others
    waiting_requests: int = 64  # requests of a web process that wait for the end of a job at the same time

    @property
    def inputs_root(self) -> Path:
        """For inputs that were fetched from a store in the network: beside the work folder."""
        return self.work_root.parent / "inputs"

    @property
    def models(self) -> dict[str, str]:
        """The models that operations use, by the extra that they need."""
        return {SPEECH.name: self.whisper_model, VISION.name: self.detector_models}

    @property
    def lease_time(self) -> timedelta:
        return timedelta(seconds=self.lease)


def jobs() -> JobSettings:
    found: JobSettings = settings.JOBS
    return found
