"""What goes when jobs are deleted, before anybody says yes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from uploads.text import wording as of_uploads

from ..models import Artifact, Job
from . import job_cells

# Of names: the numbers say the rest.
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Removal:
    jobs: Sequence[Job]
    artifacts: Sequence[Artifact]

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> "Removal":
        """Those that have ended: the others are refused when it comes to it."""
        chosen = [job for job in jobs if job.is_finished]
        made = Artifact.objects.filter(job__in=chosen).select_related("file__blob").order_by("job_id", "name")
        return cls(chosen, list(made))

    @property
    def counts(self) -> dict[str, str]:
        """As Django's own page of deletion wants them."""
        size = of_uploads.human_size(sum(artifact.file.blob.size for artifact in self.artifacts))
        return {"jobs": str(len(self.jobs)), "files that they made": f"{len(self.artifacts)} ({size})"}

    @property
    def names(self) -> list[object]:
        """Each job, and below it the files it made."""
        told: list[object] = []
        for job in self.jobs[:_SHOWN]:
            told.append(f"{job_cells.title(job)}: {job_cells.subject(job)} ({job.get_status_display()})")
            made = [
                f"{artifact.file.name}, {of_uploads.human_size(artifact.file.blob.size)}"
                for artifact in self.artifacts
                if artifact.job_id == job.pk
            ]
            if made:
                told.append(made)
        if len(self.jobs) > _SHOWN:
            told.append(f"… and {len(self.jobs) - _SHOWN} more")
        return told
