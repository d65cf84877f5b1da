"""What jobs have made of a file for its player: the newest storyboard, waveform and transcript."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from uploads.models import Blob, MediaFile

from ..models import Artifact
from .texts import TRANSCRIPT

STORYBOARD, WAVEFORM, INSPECT = "storyboard", "waveform", "inspect"
TRANSCRIBE, DETECT = "transcribe", "detect"
PICTURES = (STORYBOARD, WAVEFORM, INSPECT)
_INDEX, _PICTURE = "storyboard.vtt", "waveform.png"
CAPTIONS = "transcript.vtt"


@dataclass(frozen=True, slots=True)
class MadePreview:
    job: UUID
    name: str  # of the artifact to begin with


def storyboard_of(file: MediaFile) -> MadePreview | None:
    return _newest(file, STORYBOARD, _INDEX)


def waveform_of(file: MediaFile) -> MadePreview | None:
    """That of the operation `waveform`; else the one that `inspect` draws for a file with sound alone."""
    return _newest(file, WAVEFORM, _PICTURE) or _newest(file, INSPECT, _PICTURE)


def transcript_of(file: MediaFile) -> MadePreview | None:
    return _newest(file, TRANSCRIBE, TRANSCRIPT)


def captions_of(file: MediaFile) -> MadePreview | None:
    """Of the newest transcript, which has none if nobody speaks."""
    made = transcript_of(file)
    if made is None or not Artifact.objects.filter(job=made.job, name=CAPTIONS).exists():
        return None
    return MadePreview(made.job, CAPTIONS)


def blob_of(file: MediaFile, job: UUID, name: str, operations: Sequence[str]) -> Blob | None:
    """An artifact of one of these operations. Others are not found here: they need the permission to view them."""
    made = Artifact.objects.filter(job=job, job__file=file, job__operation__in=operations, name=name)
    artifact = made.select_related("file__blob").first()
    return artifact.file.blob if artifact else None


def _newest(file: MediaFile, operation: str, name: str) -> MadePreview | None:
    made = Artifact.objects.filter(job__file=file, job__operation=operation, name=name)
    job = made.order_by("-job__created_at").values_list("job", flat=True).first()
    return MadePreview(job, name) if job is not None else None
